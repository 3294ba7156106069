"""Documents in which a jsonpath finds something."""

import re
from collections.abc import Sequence

from dbkit.coverage.documents import USUAL, Key, merge_documents, put_at_path, read_texts, write_json
from dbkit.coverage.variations import vary
from dbkit.sample_data.patterns import match_regex
from dbkit.sample_data.texts import merge_lists

STEP = re.compile(r"\.\s*(?:\"([^\"]*)\"|(\w+)|\*+)|\[\s*(?:(\d+)|[^\]]*)\s*\]")
SUBJECT = r"((?:@|\$)[^=<>!&|()]*?)"
TEST = re.compile(SUBJECT + r"\s*(==|!=|<>|<=|>=|<|>|like_regex|starts with)\s*(\"[^\"]*\"|[-\w.]+)")
EXISTS = re.compile(rf"exists\s*\(\s*{SUBJECT}\s*\)")
MOST_MERGED = 4


def follow_path(path: str, targets: Sequence[str] = ()) -> list[str]:
    """Return documents in which a jsonpath finds something: what its conditions compare with, or these."""
    begin, is_filter, _filter = path.partition("?")
    is_test = not is_filter and bool(TEST.search(path))
    steps = [] if is_test else _read_steps(begin)
    documents: list[str] = list(targets)
    first: list[str] = []
    for subject, values in _read_tests(path):
        found = put_at_path(values, _read_steps(subject)) if is_test or subject.startswith("@") else values
        merged = [
            text for one in first[:MOST_MERGED] for other in found[:MOST_MERGED] for text in merge_documents(one, other)
        ]
        first = merged or found
        documents = merge_lists([first, documents, found])
    return list(dict.fromkeys([*put_at_path(documents or ["1", '"x"', "{}"], steps), *USUAL]))


def _read_tests(path: str) -> list[tuple[str, list[str]]]:
    """Return what is compared, with values that are next to the literal."""
    found = [(subject, ["1", '"x"']) for subject in EXISTS.findall(path)]
    for subject, operator, literal in TEST.findall(path):
        text = literal.strip('"')
        if literal[0] != '"':
            found.append((subject, read_texts(vary(text))))
        else:
            found.append(
                (
                    subject,
                    [write_json(each) for each in (match_regex(text) if operator == "like_regex" else vary(text))],
                )
            )
    return found


def _read_steps(text: str) -> list[Key]:
    return [
        quoted or name or (int(number) if number else 0)
        for quoted, name, number in STEP.findall(text)
        if quoted or name or "[" in text
    ]
