"""The history of revisions as a picture: nothing is lost, nothing crosses what it does not have to, no name is code."""

import random
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dbkit.errors import InputError
from dbkit.journal import JournalRow
from dbkit.pictures.history import State, from_script
from dbkit.pictures.history_svg import history_svg
from dbkit.pictures.history_text import can_draw_boxes, history_text
from dbkit.pictures.lanes import Lanes, Link, arrange
from support.pictures import HOSTILE, SVG, load_history, parse_svg

BRANCHES = (
    ("a1", None, None, "shop"),
    ("a2", "a1"),
    ("b1", "a2", None, "billing"),
    ("b2", "b1"),
    ("c1", "a2"),
    ("m1", ("b2", "c1")),
    ("x1", None, None, "audit"),
    ("x2", "x1", "a2"),
)
BOXES = """\
8 revisions; heads x2, m1
The database is at c1; 5 revisions pending.
A dotted line: a revision depends on another one.

○     x2 Message of x2 (depends on a2) [pending]
├┄╮
○ ┊   x1 (audit) Message of x1 [pending]
○ ┊   m1 Message of m1 [pending]
├─┼─╮
○ ┊ │ b2 Message of b2 [pending]
○ ┊ │ b1 (billing) Message of b1 [pending]
│ ┊ ◉ c1 Message of c1 [the database is here]
├─┼─╯
├┄╯
●     a2 Message of a2 [applied]
●     a1 (shop) Message of a1 [applied]"""
ASCII = """\
2 revisions, the newest 1 shown; head b
The files alone: no database was asked.

* b Message of b
: and 1 older"""


def test_branches_merges_dependencies_and_labels_are_drawn(tmp_path: Path) -> None:
    history = from_script(load_history(tmp_path, *BRANCHES).script, current=("c1",))
    assert history_text(history) == BOXES
    assert history.count(State.APPLIED) == 3


def test_without_a_database_nothing_is_pending(tmp_path: Path) -> None:
    history = from_script(load_history(tmp_path, ("a", None), ("b", "a")).script, last=1)
    assert history_text(history, boxes=False) == ASCII
    reason = from_script(load_history(tmp_path / "2", ("a", None)).script, reason="no server answers.")
    assert "The files alone: no server answers." in history_text(reason)


def test_a_database_ahead_of_the_files_is_said_to_be(tmp_path: Path) -> None:
    history = from_script(load_history(tmp_path, ("a", None), ("b", "a")).script, current=("gone",))
    assert history.missing == ("gone",)
    assert "No file has gone: the database is ahead of these files." in history_text(history)
    assert history.count(State.PENDING) == 2


def test_the_journal_tells_when_and_by_whom(tmp_path: Path) -> None:
    at = datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc)

    def row(number: int, revision: str, action: str, ended: datetime | None = at) -> JournalRow:
        return JournalRow(number, revision, action, at, ended, ended is None, "app", "ada@desk", None, None)

    # newest first: the upgrade counts, not what was recorded before or beside it
    rows = [row(4, "a", "accept"), row(3, "a", "upgrade"), row(2, "a", "downgrade"), row(1, "b", "upgrade", None)]
    loaded = load_history(tmp_path, ("a", None), ("b", "a"), ("c", "b"))
    history = from_script(loaded.script, current=("a",), rows=rows, half_applied={"b"})
    text = history_text(history)
    assert "a Message of a [the database is here, applied 2026-05-01 12:30 by app from ada@desk]" in text
    assert "✗ b Message of b [half applied]" in text
    assert "○ c Message of c [pending]" in text


@pytest.mark.parametrize("boxes", [True, False])
def test_a_merge_of_many_branches_is_no_wider_than_some_lanes(tmp_path: Path, boxes: bool) -> None:
    names = [f"b{number:02}" for number in range(60)]
    branches = [(name, "a") for name in names]
    history = from_script(load_history(tmp_path, ("a", None), *branches, ("m", tuple(names))).script, current=("b07",))
    head, _, drawn = history_text(history, boxes=boxes).partition("\n\n")
    assert head.endswith("Of 60 lanes 20 are drawn.")
    lines = drawn.splitlines()
    assert max(len(each) for each in lines) < 90
    for name in ("a", "m", *names):
        (line,) = (each for each in lines if f" {name} " in each or f" {name}   " in each)
        lanes = line.partition(f" {name} ")[0]
        assert sum(lanes.count(mark) for mark in ("○●◉" if boxes else "o*@")) == 1, line
    assert len({line.index("Message") for line in lines if "Message" in line}) == 1
    assert sum("◉" in each or "@" in each for each in lines) == 1


def test_no_revisions_are_no_error(tmp_path: Path) -> None:
    history = from_script(load_history(tmp_path).script, current=())
    assert history_text(history) == "There are no revisions yet."
    parse_svg(history_svg(history))


def test_a_cycle_is_an_error_that_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="follow each other in a cycle"):
        load_history(tmp_path, ("a", "b"), ("b", "a"))


def test_messages_are_no_code_in_any_form(tmp_path: Path) -> None:
    rows = [
        (f"r{number:02}", f"r{number - 1:02}" if number else None, None, None, text)
        for number, text in enumerate(HOSTILE)
    ]
    history = from_script(load_history(tmp_path, *rows).script, current=())
    root = parse_svg(history_svg(history))
    names = [each.attrib["data-name"] for each in root.iter(f"{SVG}g") if "data-name" in each.attrib]
    assert names == [f"r{number:02}" for number in reversed(range(len(HOSTILE)))]
    text = history_text(history)
    assert len(text.splitlines()) == len(HOSTILE) + 3
    assert text.replace("\n", "").isprintable() or not re.search(
        r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", text.replace("\n", "")
    )
    assert "alert(1)" in text  # the test has had an effect: the message is there


def test_lines_are_plain_where_the_encoding_has_no_others() -> None:
    assert can_draw_boxes("utf-8")
    assert not can_draw_boxes("ascii")
    assert not can_draw_boxes("iso-8859-1")
    assert not can_draw_boxes(None)


def make_random_graph(seed: int) -> list[tuple[str, list[Link]]]:
    chosen = random.Random(seed)  # noqa: S311
    count = chosen.randint(1, 60)
    return [
        (
            str(number),
            [
                Link(str(chosen.randrange(number + 1, count)), chosen.random() < 0.2)
                for _ in range(chosen.choice((1, 1, 1, 2, 3)))
                if number + 1 < count
            ],
        )
        for number in range(count)
    ]


def follow_lines(lanes: Lanes) -> set[tuple[int, int, bool]]:
    """The links that the connections between the rows show, as they are drawn: by row, row, and kind."""
    found = set()
    # what each column has above a row: the rows that lead to it
    origins: dict[tuple[int, bool], set[int]] = {}
    for number, row in enumerate(lanes.rows):
        reached: dict[tuple[int, bool], set[int]] = {}
        for each in row.above:
            reached.setdefault((each.end, each.is_dependency), set()).update(origins[each.start, each.is_dependency])
        for is_dependency in (False, True):
            for origin in reached.pop((row.column, is_dependency), ()):
                found.add((origin, number, is_dependency))
        assert {(each.start, each.is_dependency) for each in row.beside} == set(reached)
        origins = {}
        for each in row.below:
            start = {number} if each.start == row.column and (each.start, each.is_dependency) not in reached else set()
            came = reached.get((each.start, each.is_dependency), set())
            origins.setdefault((each.end, each.is_dependency), set()).update(start or came)
    assert not lanes.open_lanes
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_link_can_be_followed_from_row_to_row(seed: int) -> None:
    graph = make_random_graph(seed)
    lanes = arrange(graph)
    links = {
        (number, int(link.target), link.is_dependency) for number, (_, linked) in enumerate(graph) for link in linked
    }
    assert follow_lines(lanes) == links
    assert {(line.row, line.end_row, line.is_dependency) for line in lanes.lines} == links
    assert arrange(graph) == lanes
    for row in lanes.rows:
        columns = [row.column, *(each.start for each in row.beside)]
        assert len(set(columns)) == len(columns)
        assert max(columns) < lanes.width


def test_many_branches_side_by_side_need_few_columns() -> None:
    graph = [(f"b{number}", [Link("base", False)]) for number in range(300)]
    assert arrange([*graph, ("base", [])]).width == 2


def test_a_long_chain_is_one_lane_and_can_be_cut(tmp_path: Path) -> None:
    rows = [(f"r{number:04}", f"r{number - 1:04}" if number else None) for number in range(400)]
    script = load_history(tmp_path, *rows).script
    history = from_script(script, current=("r0199",))
    assert history.count(State.PENDING) == 200
    lines = history_text(history).splitlines()
    assert len(lines) == 403
    assert lines[3].startswith("○ r0399")
    assert from_script(script, current=("r0199",), last=10).pending == 200
    short = from_script(script, last=10)
    assert [each.id for each in short.revisions] == [f"r{number:04}" for number in range(399, 389, -1)]
    assert "and 390 older" in history_svg(short)
