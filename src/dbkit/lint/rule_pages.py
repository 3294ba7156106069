"""The pages of the rules, lint/pages/<id>.md: level, summary, and what to do."""

import re
from dataclasses import dataclass

from dbkit.findings.finding import Level
from dbkit.findings.rule_ids import PAGES, read_rule_ids

HEAD = re.compile(r"# (?P<id>\S+)\n\n(?P<level>\w+)\b[^\n]*\n\n(?P<summary>[^\n]+)\n\n## ")


@dataclass(frozen=True)
class RuleSummary:
    """The head of a rule's page."""

    level: Level
    """The highest level of its findings."""
    text: str
    """One sentence without its full stop."""


def read_page(identifier: str) -> str:
    """Return the page of a rule, as Markdown."""
    return (PAGES / f"{identifier}.md").read_text(encoding="utf-8").strip()


def read_summary(identifier: str) -> RuleSummary:
    """Return the level and the summary of a rule. Raises ValueError if its page does not begin with them."""
    head = HEAD.match(read_page(identifier))
    if head is None or head["id"] != identifier:
        raise ValueError(f"lint/pages/{identifier}.md does not begin with its id, its level and a summary")
    return RuleSummary(Level(head["level"]), head["summary"].removesuffix("."))


def read_summaries() -> dict[str, RuleSummary]:
    """Return the summaries of all rules by id, sorted."""
    return {identifier: read_summary(identifier) for identifier in read_rule_ids()}


def read_section(identifier: str, heading: str) -> str:
    """Return what a page has under a heading; empty if there is no such heading."""
    return read_page(identifier).partition(f"\n## {heading}\n")[2].partition("\n## ")[0].strip()
