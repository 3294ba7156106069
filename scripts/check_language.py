"""Find words that the project's English avoids, in comments, docstrings, string literals and prose.

    python scripts/check_language.py

Names in code are not looked at, nor what is in backticks or in a code block. CONTRIBUTING.md has the table of what to write.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ["src", "docs", "scripts", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "noxfile.py"]
WORDS = {
    r"told": "report, show, name",
    r"said|says": "return, report, name, mean",
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix, repair",
    r"somebody|nobody|whoever": "another session, a user, no session",
    r"stands": "is, is at",
    r"lets? [^.,;:]{1,40}\bbe\b": "leave, keep, ignore",
    r"of (its|their) own": "a separate, another",
    r"(is|are) worth": "costs, saves, helps",
    r"let (us|them|him) in": "accept the connection",
}
AVOIDED = {
    # a phrase may be broken between two lines
    re.compile(rf"\b({words})\b".replace(" ", r"\s+"), re.IGNORECASE): instead
    for words, instead in WORDS.items()
}
# a docstring's subject is what the thing is or does
BEGINS = re.compile(r"(Who|What)\b")
# the accounts of the operating system
NAMES = re.compile(r"postgres or nobody")
CODE = re.compile(r"``[^`]+``|`[^`]*`|\]\([^)]*\)")
Finding = tuple[Path, int, str, str]


def read_prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file that people read, with their lines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _read_comments(text)
        yield from _read_strings(text)
    elif path.suffix == ".md":
        # blank lines in place of code blocks keep the numbers of lines
        prose = re.sub(r"^( *)```.*?^\1```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)
        yield 1, prose
    else:
        yield from ((number, line) for number, line in enumerate(text.splitlines(), 1) if "#" in line)


def _read_comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _read_strings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        # without a space it is a name, such as that of an option
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\w\s+\w", node.value):
            yield node.lineno, node.value


def _read_docstrings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring


def check_file(path: Path) -> Iterator[Finding]:
    """Yield each avoided word of a file: where it is, the word, and what to write."""
    for line, text in read_prose(path):
        # what is taken out keeps its line breaks
        plain = CODE.sub(lambda code: "\n" * code[0].count("\n"), NAMES.sub("", text))
        for avoided, instead in AVOIDED.items():
            for match in avoided.finditer(plain):
                yield path, line + plain.count("\n", 0, match.start()), match[0], instead
    if path.suffix == ".py":
        for line, docstring in _read_docstrings(path.read_text(encoding="utf-8")):
            if begin := BEGINS.match(docstring):
                yield path, line, f"{begin[0]} … at the start of a docstring", "the thing's name, or the imperative"


def find_files() -> Iterator[Path]:
    """Yield the files to check, all but this one, which has the words."""
    for place in PLACES:
        path = ROOT / place
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (file for file in files if file.suffix in {"", ".py", ".md", ".sh"} and file.is_file())


def main() -> int:
    """Print each finding as `file:line: word`, and return 1 where there is one."""
    findings = [finding for path in find_files() if path != Path(__file__) for finding in check_file(path)]
    for path, line, word, instead in findings:
        print(f"{path.relative_to(ROOT)}:{line}: {' '.join(word.split())!r}: write {instead}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
