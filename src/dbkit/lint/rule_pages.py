"""The pages of the findings, src/dbkit/lint/pages/<id>.md: what is said of each in general."""

from pathlib import Path

from dbkit.findings.rule_ids import RULES

# a part of the package, wherever that is installed
PAGES = Path(__file__).resolve().parent / "pages"


def page(identifier: str) -> str:
    """A page, as Markdown; one line where the documentation was left out, as in the image."""
    path = PAGES / f"{identifier}.md"
    if not path.exists():
        return f"# {identifier}\n\n{RULES[identifier].level}: {RULES[identifier].about}"
    return path.read_text(encoding="utf-8").strip()


def section(identifier: str, heading: str) -> str:
    """What a page has under a heading; empty where it has none."""
    return page(identifier).partition(f"\n## {heading}\n")[2].partition("\n## ")[0].strip()
