"""Who gets colours, tables and progress, and that neither data nor an escape in them is ever read as either."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest

from dbkit import cli
from dbkit.redaction import outputs
from dbkit.redaction.control_characters import show_controls
from dbkit.terminal import paint, person, progress, tables
from dbkit.terminal.person import Color, Person
from dbkit.terminal.progress import Progress, cut, describe_time_left
from dbkit.terminal.tables import Cell, Column
from support.terminal import STYLES

HOSTILE = "a\x1b]0;title\x07[red]b[/red]\x9b2J\r\x08c\u202ed\x1b[8mhidden"


class Screen(io.StringIO):
    """A stream that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of a person."""
    monkeypatch.setattr(person, "_person", Person(is_there=True, wants_color=True))
    monkeypatch.setattr(outputs, "before_writing", [])
    return Screen()


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the width of the terminal."""

    def set_width(width: int) -> None:
        monkeypatch.setattr(person, "read_width", lambda: width)

    return set_width


@pytest.mark.parametrize(
    ("environment", "color", "on_terminal", "in_pipe"),
    [
        ({}, Color.AUTO, True, False),
        ({"TERM": "xterm"}, Color.AUTO, True, False),
        ({"NO_COLOR": "1"}, Color.AUTO, False, False),
        ({"NO_COLOR": "0"}, Color.AUTO, False, False),
        ({"NO_COLOR": ""}, Color.AUTO, True, False),
        ({"TERM": "dumb"}, Color.AUTO, False, False),
        ({"CI": "true"}, Color.AUTO, False, False),
        ({"CI": "false"}, Color.AUTO, True, False),
        ({"FORCE_COLOR": "1"}, Color.AUTO, True, False),
        ({"NO_COLOR": "1", "CI": "1", "TERM": "dumb"}, Color.ALWAYS, True, True),
        ({}, Color.NEVER, False, False),
    ],
)
def test_who_gets_colours(environment: dict[str, str], color: Color, on_terminal: bool, in_pipe: bool) -> None:
    found = Person.of_environment(environment, color)
    assert (found.gets_color(Screen()), found.gets_color(io.StringIO())) == (on_terminal, in_pipe)


@pytest.mark.parametrize("environment", [{"CI": "1"}, {"TERM": "dumb"}])
def test_nobody_looks_in_ci_and_at_a_dumb_terminal(environment: dict[str, str]) -> None:
    assert not Person.of_environment(environment, Color.ALWAYS).looks_at(Screen())


def test_without_colours_a_terminal_is_still_looked_at() -> None:
    assert Person.of_environment({"NO_COLOR": "1"}, Color.NEVER).looks_at(Screen())
    assert not Person.of_environment({}, Color.ALWAYS).looks_at(io.StringIO())
    assert not Person.of_environment({}, Color.ALWAYS).looks_at(None)


REPORT = """\
dirty and lossy: a1 "one"
  after downgrade, column orders.danger is still there
accepted broken: a2 "two": a reason
proven, if: a3 "dirty: not this"
note: a4
  danger index-without-concurrently:12
    orders has 1 danger
  violated: 3 rows
a5 "five": will fail
4 migrations on PostgreSQL 18.6: 2 proven, 1 proven, if, 1 broken; 1 with warnings (3.2 s).
0 dangers, 1 warning in 4 migrations on PostgreSQL 18.6; 2 notes.
"""


def test_colours_are_added_to_the_words_and_to_nothing_else() -> None:
    painted = paint.paint(REPORT, "")
    assert STYLES.sub("", painted) == REPORT
    assert painted.count("\x1b[0m") == 11
    assert "\x1b[1;31mdirty and lossy\x1b[0m: a1" in painted
    assert "\x1b[32m2 proven\x1b[0m, \x1b[32m1 proven, if\x1b[0m, \x1b[1;31m1 broken\x1b[0m;" in painted
    assert "0 dangers, \x1b[33m1 warning\x1b[0m in" in painted
    assert "column orders.danger" in painted


def test_an_error_is_red_and_its_hint_dim() -> None:
    text = "dbkit: it failed.\n  Type this.\n  Or that.\n"
    painted = paint.paint(text, outputs.ERROR)
    assert STYLES.sub("", painted) == text
    assert painted.startswith("\x1b[1;31mdbkit:\x1b[0m\x1b[31m it failed.\x1b[0m\n\x1b[2m  Type this.")


@pytest.mark.parametrize("text", ["nothing to apply.\n", "", "orders.danger\n", '"app" is at a1, the head.\n'])
def test_text_without_a_verdict_is_left_as_it_is(text: str) -> None:
    assert paint.paint(text, "") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("naïve 😀 \u200d ü\r\n", "naïve 😀 \u200d ü\r\n"),
        ("\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\n".replace("\x1b[31m", "").replace("\x1b[0m", "")),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x1b[31m", r"\x1b[2J"),
        ("a\rb", r"a\rb"),
        ("\rbar 10%\r", "\rbar 10%\r"),
        ("a\x08\x7f\x9b\x00", r"a\x08\x7f\x9b\x00"),
        ("\u202egpj.exe\u2066\u2028", r"\u202egpj.exe\u2066\u2028"),
    ],
)
def test_control_characters_are_visible(text: str, shown: str) -> None:
    assert show_controls(text) == shown
    assert show_controls(shown) == shown


def test_a_stream_shows_controls_also_in_a_pipe() -> None:
    pipe = io.StringIO()
    stream = outputs.RedactedStream(pipe)
    print("table \x1b]52;c;aGk=\x07", file=stream)
    stream.write_redacted("a report \x1b[2J\n")
    stream.write_unchanged("SELECT '\x1b[2J'\n")
    assert pipe.getvalue() == "table \\x1b]52;c;aGk=\\x07\na report \\x1b[2J\nSELECT '\x1b[2J'\n"


ROWS = [
    [Cell("2026-11-30"), Cell('8c07de "index [bold]orders[/bold] :smile: on the customer\'s id"', "warning")],
    [Cell("2026-12-01"), Cell(HOSTILE, "bad")],
]


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
@pytest.mark.parametrize("wants_color", [True, False])
def test_a_table_fits_loses_nothing_and_reads_no_markup(
    screen: Screen, columns: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, width: int, wants_color: bool
) -> None:
    columns(width)
    monkeypatch.setattr(person, "_person", Person(is_there=True, wants_color=wants_color))
    with redirect_stdout(screen):
        tables.print_table([Column("when"), Column("revision", is_wrapped=True)], ROWS)
    shown = screen.getvalue()
    assert ("\x1b[" in shown) == wants_color
    plain = STYLES.sub("", shown)
    assert all(len(line) <= width for line in plain.splitlines()), plain
    assert not set("\x1b\x07\x9b\r\x08\u202e") & set(plain)
    dense = "".join(plain.split())
    for row in ROWS:
        for cell in row:
            assert "".join(show_controls(cell.text).split()) in dense
    assert "[red]b[/red]" in dense


def test_a_table_hides_secrets(screen: Screen) -> None:
    with redirect_stdout(screen):
        tables.print_labelled([("url", Cell("postgresql://app:s3cr3t-word@host/db"))])
    assert "s3cr3t-word" not in screen.getvalue()


def test_a_table_in_a_terminal_without_unicode_is_ascii(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screen, "encoding", "ascii", raising=False)
    with redirect_stdout(screen):
        tables.print_table([Column("a"), Column("b", is_wrapped=True)], [[Cell("1"), Cell("2")]])
    assert STYLES.sub("", screen.getvalue()).isascii()


def test_progress_is_one_line_and_leaves_nothing(screen: Screen, columns: Callable[[int], None]) -> None:
    columns(50)
    shown = Progress(screen)
    shown(f'1/20 8c07de "{HOSTILE * 9}"')
    line = screen.getvalue()
    assert line.startswith("\r\x1b[K1/20 8c07de ")
    assert len(line.removeprefix("\r\x1b[K")) == 49
    assert not set("\x07\x9b\x08") & set(line)
    outputs.clear_line()
    assert screen.getvalue() == f"{line}\r\x1b[K"
    outputs.clear_line()
    assert screen.getvalue() == f"{line}\r\x1b[K"


def test_what_is_printed_next_takes_the_progress_off(screen: Screen, columns: Callable[[int], None]) -> None:
    columns(80)
    stream = outputs.RedactedStream(screen)
    Progress(stream)("1/20 a")
    print("dbkit: a message", file=stream)
    assert screen.getvalue() == "\r\x1b[K[                    ] 1/20 a\r\x1b[Kdbkit: a message\n"


def test_a_narrower_window_is_cleared_as_a_whole(screen: Screen, columns: Callable[[int], None]) -> None:
    columns(100)
    shown = Progress(screen)
    shown.show("x" * 99)
    columns(40)
    shown.erase()
    assert screen.getvalue().endswith("\r\x1b[2A\x1b[J")


def test_progress_hides_secrets(screen: Screen) -> None:
    Progress(screen).show("postgresql://app:s3cr3t-word@host/db")
    assert "s3cr3t" not in screen.getvalue()


def test_a_pipe_has_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(person, "_person", Person(is_there=True, wants_color=True))
    shown = Progress(pipe)
    shown("1/20 a")
    shown.erase()
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "done", "total", "words"),
    [
        (10.0, 5, 20, ", about 30 s left"),
        (1.0, 5, 20, ""),
        (10.0, 0, 20, ""),
        (10.0, 20, 20, ""),
        (60.0, 1, 61, ", about 60 min left"),
        (10.0, 30, 0, ""),
    ],
)
def test_time_left(seconds: float, done: int, total: int, words: str) -> None:
    assert describe_time_left(seconds, done, total) == words


def test_wide_characters_count_twice() -> None:
    assert progress.count_columns("日本") == 4
    assert cut("日本語", 5) == "日本"
    assert cut("ü😀x", 3) == "ü😀"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["migrat"], "there is no verb 'migrat'; did you mean migrate?"),
        (["stauts"], "did you mean status?"),
        (["lint-migrations"], "did you mean"),
        (["migrate", "--tto", "head"], "unrecognized arguments: --tto head; did you mean --to?"),
        (["--debugg", "status"], "did you mean --debug?"),
        (["lint", "--level", "dangr"], "did you mean danger?"),
        (["status", "--colour", "never"], "did you mean --color?"),
    ],
)
def test_the_nearest_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["xyzzy"], ["migrate", "--qqq"], ["migrate", "extra"], [""], ["status", "-z"]])
def test_what_is_far_from_all_gets_no_suggestion(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(arguments)
    assert (ended.value.code, "did you mean" in capsys.readouterr().err) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "color"),
    [
        (["status"], "auto"),
        (["--color", "never", "status"], "never"),
        (["status", "--color=always"], "always"),
        (["--color", "never", "status", "--color", "always"], "always"),
        (["--color", "always", "psql", "-c", "SELECT 1"], "always"),
    ],
)
def test_color_is_taken_before_and_after_the_verb(arguments: list[str], color: str) -> None:
    assert cli.parse(arguments).color == color
