"""What a person sees in a terminal, of a project of another team; and that a pipe gets what it always got."""

import os
import re
import sys
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from support.other_project import OtherProject, make_project
from support.running import others_slow
from support.terminal import Answer, Shown, resize, type_in_terminal

NAME = "[red]a[/red] \x1b]0\x07\x1b[2J😀"
SHOWN = r"[red]a[/red] \x1b]0\x07\x1b[2J😀"
MESSAGE = "c3 [bold]adds[/bold] a column with a message that is longer than any window of forty columns"


@pytest.fixture(scope="module")
def project(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> OtherProject:
    """At its second revision of three; the message of the last one reads like markup."""
    found = make_project(tmp_path_factory.mktemp("terminal"), server.create_database("test_terminal"))
    found.add("c3", "c2", "ALTER TABLE customers ADD COLUMN size int", "ALTER TABLE customers DROP COLUMN size")
    path = found.versions / "c3.py"
    path.write_text(f'"""{MESSAGE}"""\n' + path.read_text().partition('"""')[2].partition('"""')[2])
    run = found.dbkit("migrate", "--to", "c2")
    assert run.returncode == 0, run.stderr
    return found


def show(
    project: OtherProject,
    *arguments: str,
    columns: int = 100,
    answers: tuple[Answer, ...] = (),
    stdin: int | None = None,
    **variables: str,
) -> Shown:
    """Type a verb in a terminal."""
    command = [sys.executable, "-m", "dbkit", *arguments]
    environment = project.variables() | variables
    return type_in_terminal(command, project.root, environment, columns=columns, answers=answers, stdin=stdin)


def dense(text: str) -> str:
    return "".join(text.split())


@pytest.mark.spread(2)
@pytest.mark.parametrize(
    ("verb", "columns"), others_slow(2, [("status", 40), ("log", 40), ("log", 160), ("status", 80), ("log", 80)])
)
def test_a_table_fits_the_window_and_has_all_that_a_pipe_has(project: OtherProject, verb: str, columns: int) -> None:
    shown = show(project, verb, "-c", "alembic.ini", columns=columns)
    assert shown.exit_code == 0, shown.raw
    assert "\x1b[" in shown.raw
    assert max(map(len, shown.lines)) <= columns
    piped = project.dbkit(verb).stdout
    assert "\x1b" not in piped
    for word in re.split(r"[\s,]+", piped):
        if word not in ("by", ""):  # a heading of the table
            assert word in dense(shown.plain), (word, shown.plain)
    if verb == "status":
        assert dense(MESSAGE) in dense(shown.plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "options"),
    others_slow(2, [({"NO_COLOR": "1"}, ()), ({"CI": "true"}, ()), ({"TERM": "dumb"}, ()), ({}, ("--color", "never"))]),
)
def test_a_terminal_without_colours(project: OtherProject, variables: dict[str, str], options: tuple[str, ...]) -> None:
    shown = show(project, *options, "status", "-c", "alembic.ini", **variables)
    assert (shown.exit_code, "\x1b" in shown.raw) == (0, False)
    if "NO_COLOR" not in variables and not options:
        assert shown.raw == project.dbkit("status").stdout


@pytest.mark.slow
def test_colours_in_a_pipe_only_when_asked(project: OtherProject) -> None:
    plain = project.dbkit("migrate", "--to", "nope")
    forced = project.dbkit("migrate", "--to", "nope", env={"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"})
    assert (plain.stderr, plain.stdout) == (forced.stderr, forced.stdout)
    assert "\x1b" not in plain.stderr
    asked = project.run("dbkit", "--color", "always", "migrate", "-c", "alembic.ini", "--to", "nope")
    assert (asked.returncode, re.sub(r"\x1b\[[0-9;]*m", "", asked.stderr)) == (2, plain.stderr)
    assert "\x1b[1;31mdbkit:\x1b[0m\x1b[31m " in asked.stderr


def test_an_error_is_the_same_text_in_a_terminal(project: OtherProject) -> None:
    shown = show(project, "migrate", "-c", "alembic.ini", "--to", "nope")
    assert shown.exit_code == 2
    assert shown.plain == project.dbkit("migrate", "--to", "nope").stderr


def test_a_proof_shows_progress_and_takes_it_off(project: OtherProject) -> None:
    shown = show(project, "roundtrip", "-c", "alembic.ini", "--no-cache", columns=70)
    assert shown.exit_code == 0, shown.raw
    assert '1/3 c1 "c1"' in shown.raw
    drawn = re.findall(r"\r\x1b\[K((?:\[[# ]+\] )?\d/3[^\r\n]+)", shown.raw)
    assert drawn
    assert all(len(line) < 70 for line in drawn)
    piped = project.dbkit("roundtrip", "--no-cache")
    assert piped.stderr == ""
    seconds = re.compile(r"\(\d+\.\d s")
    assert seconds.sub("", "\n".join(shown.lines)).strip() == seconds.sub("", piped.stdout).strip()
    assert "\x1b[32m3 proven\x1b[0m" in shown.raw
    assert "\x1b[?25l" not in shown.raw  # the cursor stays visible, whatever ends the process


@pytest.mark.slow
def test_machine_readable_reports_have_no_colours_in_a_terminal(project: OtherProject) -> None:
    shown = show(project, "--color", "always", "lint", "-c", "alembic.ini", "--format", "json")
    assert '"findings"' in "\n".join(shown.lines)
    assert not re.search(r"\x1b\[[0-9;]*m", shown.raw)


def test_ctrl_c_takes_the_progress_off(project: OtherProject) -> None:
    shown = show(project, "roundtrip", "-c", "alembic.ini", "--no-cache", answers=(("1/3", "\x03"),))
    assert shown.exit_code == 130
    assert shown.lines[-2:] == ["dbkit: interrupted", ""]
    assert all("1/3" not in line for line in shown.lines)


@pytest.mark.slow
def test_progress_survives_a_narrower_window(project: OtherProject) -> None:
    resized: list[int] = []

    def narrow(terminal: int, shown: str) -> None:
        if "1/3" in shown and not resized:
            resize(terminal, 40)
            resized.append(terminal)

    command = [sys.executable, "-m", "dbkit", "roundtrip", "-c", "alembic.ini", "--no-cache"]
    environment = project.variables()
    shown = type_in_terminal(command, project.root, environment, columns=120, at_each=narrow)
    assert (shown.exit_code, len(resized)) == (0, 1), shown.raw
    after = shown.raw[shown.raw.index("1/3") :]
    drawn = re.findall(r"\r\x1b\[(?:K|1A\x1b\[J|2A\x1b\[J)([^\r\n]+)", after)
    assert drawn
    assert all(len(line) < 40 for line in drawn if "/3" in line)


@pytest.fixture
def hostile(server: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> OtherProject:
    """Its last revision drops a table whose name has terminal escapes and markup."""
    found = make_project(tmp_path, server.create_database(f"test_{abs(hash(request.node.nodeid)):x}"))
    name = f'"{NAME}"'
    found.add("c3", "c2", f"CREATE TABLE {name} (id int PRIMARY KEY, note text)", f"DROP TABLE {name}")
    found.add("c4", "c3", f"ALTER TABLE {name} ADD COLUMN more int NOT NULL", f"ALTER TABLE {name} DROP COLUMN more")
    return found


@pytest.mark.parametrize("typed", others_slow(1, ["lint", "roundtrip --no-cache", "migrate --plan", "migrate"]))
def test_a_hostile_name_is_shown_and_does_nothing(hostile: OtherProject, typed: str) -> None:
    verb, *options = typed.split()
    shown = show(hostile, verb, "-c", "alembic.ini", *options, columns=200)
    piped = hostile.dbkit(verb, *options)
    for text in (re.sub(r"\x1b\[[0-9;]*[mKAJ]", "", shown.raw), piped.stdout, piped.stderr):
        assert not set("\x1b\x07") & set(text)
    assert "\x1b[2J" not in shown.raw
    if verb != "migrate" or options:
        assert SHOWN in shown.plain
        assert SHOWN in piped.stdout + piped.stderr


MODELS = """\
import sqlalchemy as sa

metadata = sa.MetaData()
customers = sa.Table(
    "{table}", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("{name}", sa.Text),
    sa.Column("city", sa.Text){more}
)
"""
COLUMN = "Was column customers.name renamed to full_name? [y/N] "
TABLE = "Was table customers renamed to clients? [y/N] "
DRAFT = ("revision", "-c", "alembic.ini", "-m", "a draft")


@pytest.fixture
def drafted(server: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> OtherProject:
    """A project whose models have another name for a column."""
    found = make_project(tmp_path, server.create_database(f"test_{abs(hash(request.node.nodeid)):x}"))
    write_models(found, name="full_name")
    return found


def write_models(project: OtherProject, table: str = "customers", name: str = "name", more: str = "") -> None:
    (project.root / "team_models.py").write_text(MODELS.format(table=table, name=name, more=more))


def find_draft(project: OtherProject) -> str:
    """The text of the file that was drafted; "" where there is none."""
    found = [path for path in project.versions.glob("*.py") if path.stem not in ("c1", "c2")]
    assert len(found) <= 1
    return found[0].read_text() if found else ""


def test_yes_writes_the_rename(drafted: OtherProject) -> None:
    shown = show(drafted, *DRAFT, answers=((COLUMN, "perhaps\r"), ("Type y or n.", "y\r")))
    assert shown.exit_code == 0, shown.raw
    draft = find_draft(drafted)
    assert 'op.alter_column("customers", "name", new_column_name="full_name")' in draft.replace("'", '"')
    assert "drop_column" not in draft
    again = show(drafted, "revision", "-c", "alembic.ini", "-m", "again")
    assert "no changes found" in again.raw


@pytest.mark.slow
@pytest.mark.parametrize("answer", others_slow(1, ["n\r", "\r", "\x04"]))
def test_no_drops_and_adds(drafted: OtherProject, answer: str) -> None:
    show(drafted, *DRAFT, answers=((COLUMN, answer),))
    draft = find_draft(drafted)
    assert "drop_column" in draft
    assert "new_column_name" not in draft


def test_ctrl_c_at_the_question_writes_nothing(drafted: OtherProject) -> None:
    before = sorted(drafted.root.rglob("*"))
    shown = show(drafted, *DRAFT, answers=((COLUMN, "\x03"),))
    assert (shown.exit_code, find_draft(drafted)) == (130, "")
    assert shown.lines[-2] == "dbkit: interrupted"
    assert [path for path in sorted(drafted.root.rglob("*")) if path.suffix == ".py"] == [
        path for path in before if path.suffix == ".py"
    ]


@pytest.mark.slow
def test_without_a_keyboard_or_in_ci_nothing_is_asked(drafted: OtherProject) -> None:
    shown = show(drafted, *DRAFT, CI="1")
    assert "[y/N]" not in shown.raw
    assert "drop_column" in find_draft(drafted)
    for path in drafted.versions.glob("*draft*"):
        path.unlink()
    reading, writing = os.pipe()
    os.close(writing)
    shown = show(drafted, *DRAFT, stdin=reading)
    os.close(reading)
    assert "[y/N]" not in shown.raw
    assert "drop_column" in find_draft(drafted)


@pytest.mark.slow
def test_a_renamed_table_may_have_a_renamed_column(drafted: OtherProject) -> None:
    write_models(drafted, table="clients")
    shown = show(drafted, *DRAFT, answers=((TABLE, "y\r"),))
    assert shown.exit_code == 0, shown.raw
    draft = find_draft(drafted).replace("'", '"')
    assert 'op.rename_table("customers", "clients")' in draft
    assert "drop_table" not in draft


@pytest.mark.slow
def test_each_object_is_renamed_once_and_the_nearest_name_is_asked_first(drafted: OtherProject) -> None:
    write_models(drafted, name="names", more=', sa.Column("zzz", sa.Text)')
    first = "Was column customers.name renamed to names? [y/N] "
    shown = show(drafted, *DRAFT, answers=((first, "y\r"),))
    assert shown.exit_code == 0, shown.raw
    assert shown.raw.count("[y/N]") == 1
    draft = find_draft(drafted)
    assert "new_column_name" in draft
    assert "add_column" in draft


@pytest.mark.slow
def test_another_type_is_no_rename(drafted: OtherProject) -> None:
    write_models(drafted, name="name", more=', sa.Column("born", sa.Date)')
    drafted.add("c3", "c2", "ALTER TABLE customers ADD gone int", "ALTER TABLE customers DROP gone")
    shown = show(drafted, *DRAFT)
    assert "[y/N]" not in shown.raw
