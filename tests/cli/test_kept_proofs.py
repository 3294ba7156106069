"""Proofs that are kept: nothing is run where nothing has changed, and everything is where anything has."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from dbkit.proof_cache.store import FORMAT, Store
from support.kept_proofs import FIRST, LAST, Prover, entries, make_project, restore, without_times, write_revision
from support.running import others_slow, until

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def prover(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prover]:
    root = make_project(tmp_path_factory.mktemp("kept") / "project", last=LAST)
    with Prover(root) as found:
        found.fresh = found.prove("--no-cache")
        assert not (root / ".dbkit").exists(), "it has neither read nor written anything"
        code, text = found.prove()
        assert (code, text.count(" kept;")) == (1, 0), text
        yield found


def edit(name: str, text: str = "\n# edited\n") -> Change:
    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return change


def remove(name: str) -> Change:
    return lambda root: (root / name).unlink()


def edit_without_a_trace(root: Path) -> None:
    """Change a file, and put back its size and its time."""
    path = root / "migrations/versions/words.txt"
    before = path.stat()
    path.write_text("UPDATE things SET name = 'y'")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


NEXT = FIRST.replace('"r1"', f'"r{LAST + 1}"').replace("None", f'"r{LAST}"')
CHANGES: dict[str, Change] = {
    "a revision": edit("migrations/versions/r2.py"),
    "a comment that accepts": edit("migrations/versions/r1.py", "# dbkit: ok dirty, why not\n"),
    "another revision": edit(f"migrations/versions/r{LAST + 1}.py", NEXT),
    "the last revision": edit(f"migrations/versions/r{LAST}.py"),
    "a revision less": remove(f"migrations/versions/r{LAST}.py"),
    "env.py": edit("migrations/env.py"),
    "the settings file": edit("alembic.ini", "[dbkit]\nbaseline = r2\n"),
    "a module that env.py imports": edit("team_settings.py", "NAME = 'other'\n"),
    "a table in the models": edit("team_tables.py", 'new = sa.Table("new", metadata, sa.Column("id", sa.Integer))\n'),
    "other code in the models": edit("team_tables.py", "metadata.naming_convention = {}\n"),
    "a module that an upgrade imports": edit("team_words.py"),
    "a module that was not there": edit("team_local.py"),
    "a file that an upgrade reads": edit("migrations/versions/words.txt", " WHERE id > 0"),
    "a file with the size and the time of before": edit_without_a_trace,
    "a file that was not there to be opened": edit("migrations/not_there.json", "{}"),
    "a file that was looked for": edit("migrations/local.toml", ""),
    "one more plugin": edit("migrations/plugins/two.py", ""),
    "one more file of a pattern": edit("migrations/sql/two.sql", ""),
    "a sample file": edit("migrations/samples/r1.sql", "; INSERT INTO things VALUES (78)"),
    "another sample file": edit("migrations/samples/r2.sql", "SELECT 1"),
    "a sample file of the last revision": edit(f"migrations/samples/r{LAST}.sql", "SELECT 1"),
    "another settings file": edit("pyproject.toml", "[tool.dbkit]\n"),
}


GOES_ON = (
    "another revision",
    "the last revision",
    "a revision less",
    "a sample file of the last revision",
    "a table in the models",
)
"""The changes after which the verdicts on the other revisions are kept."""


@pytest.mark.spread(11)
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_an_input_is_seen(prover: Prover, name: str, tmp_path: Path) -> None:
    copy = tmp_path / "before"
    shutil.copytree(prover.root, copy, ignore=shutil.ignore_patterns("__pycache__", ".dbkit"))
    assert prover.look() == (True, True)
    CHANGES[name](prover.root)
    try:
        assert prover.look() == (False, name in GOES_ON)
    finally:
        restore(prover.root, copy)
    assert prover.look() == (True, True)


VARIABLES: dict[str, Mapping[str, str]] = {
    "a variable that env.py reads": {"TEAM_MODE": "other"},
    "a variable of libpq": {"PGTZ": "Asia/Tokyo"},
}


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES)
def test_a_change_of_a_variable_is_seen(prover: Prover, variables: Mapping[str, str]) -> None:
    assert prover.look() == (True, True)
    assert prover.look(env=variables) == (False, False)
    assert prover.look(env={"TEAM_UNREAD": "1"}) == (True, True)


OPTIONS = (
    ("--rows", "3"),
    ("--seed", "1"),
    ("--from", "r1"),
    ("--to", "r1"),
    ("--only", "r1"),
    ("--baseline", "r2"),
    ("-x", "tenant=a"),
    ("--set-env", "A=b"),
    ("--url-env", "A"),
    ("--strict",),
    ("--trace",),
    ("--jobs", "2"),
)


@pytest.mark.spread(6)
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_other_options_are_another_proof(prover: Prover, options: tuple[str, ...]) -> None:
    assert prover.look() == (True, True)
    assert prover.look(*options) == (False, False)


def test_what_is_kept_is_reported_to_the_letter(prover: Prover) -> None:
    kept = prover.prove()
    assert f"{LAST} verdicts kept; " in kept[1]
    assert without_times(prover.fresh) == without_times(kept)
    assert json.loads(prover.prove("--format", "json")[1])["kept"] == LAST


def spoil(content: bytes) -> Iterator[bytes]:
    """Yield what a crash, a full disk or another program may have made of an entry."""
    yield b""
    yield content[: len(content) // 2]
    yield content[:-1]
    yield content.replace(b"proven", b"broken", 1)
    yield content.replace(FORMAT.encode(), b"dbkit-proofs-0", 1)
    yield FORMAT.encode() + b" 0\n{}"
    yield os.urandom(len(content))


@pytest.mark.spread(3)
@pytest.mark.parametrize("number", range(7))
def test_a_spoiled_entry_is_ignored(prover: Prover, number: int) -> None:
    found = {path: path.read_bytes() for path in entries(prover.root)}
    assert found
    for path, content in found.items():
        path.write_bytes(list(spoil(content))[number])
    assert prover.look() == (False, False)
    for path, content in found.items():
        path.write_bytes(content)
    assert prover.is_kept()


def test_spoiled_digests_are_not_trusted(prover: Prover) -> None:
    (path,) = (prover.root / ".dbkit").glob("proofs*/digests")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert prover.is_kept()
    path.write_bytes(content)


def test_a_directory_that_others_can_write_to_is_not_used(prover: Prover) -> None:
    (directory,) = (prover.root / ".dbkit").glob("proofs*")
    directory.chmod(0o777)
    assert not prover.is_kept()
    directory.chmod(0o700)
    for other in (prover.root / ".dbkit").glob("proofs-*"):
        shutil.rmtree(other)
    assert prover.is_kept()


DIRTY = ("CREATE INDEX IF NOT EXISTS ix ON things (name)", "SELECT 1")
NEW = {
    "a proven one": (
        "ALTER TABLE things ADD COLUMN new int; UPDATE things SET new = 1",
        "ALTER TABLE things DROP COLUMN new",
    ),
    "a dirty one": DIRTY,
    "one by a clone": ("COMMIT; CREATE INDEX CONCURRENTLY ix ON things (name)", "COMMIT; DROP INDEX CONCURRENTLY ix"),
    "one that loses rows": ("DELETE FROM things WHERE id = 77", "SELECT 1"),
    "one that fails on rows": ("ALTER TABLE things ADD COLUMN new int NOT NULL", "ALTER TABLE things DROP COLUMN new"),
    "an irreversible one": ("DROP TABLE t4", "COMMIT; DO $$ BEGIN RAISE 'no' USING ERRCODE = 'P0001'; END $$"),
    "a broken one": ("SELECT 1 / 0", "SELECT 1"),
    "one about rows that are older than the kept verdicts after the checkpoint": (
        "ALTER TABLE things ALTER COLUMN c21 SET NOT NULL",
        "ALTER TABLE things ALTER COLUMN c21 DROP NOT NULL",
    ),
    "one about rows that are as old": (
        "ALTER TABLE t22 ALTER COLUMN x SET NOT NULL",
        "ALTER TABLE t22 ALTER COLUMN x DROP NOT NULL",
    ),
}


@pytest.mark.parametrize(("up", "down"), others_slow(1, list(NEW.values())))
def test_one_more_revision_is_proven_after_those_that_are_kept(
    prover: Prover, up: str, down: str, tmp_path: Path
) -> None:
    copy = tmp_path / "before"
    shutil.copytree(prover.root, copy, ignore=shutil.ignore_patterns("__pycache__", ".dbkit"))
    write_revision(prover.root, LAST + 1, up, down)
    try:
        code, text = prover.prove("--format", "json")
        assert json.loads(text)["kept"] == LAST
        assert without_times((code, text)) == without_times(prover.prove("--format", "json", "--no-cache"))
        code, text = prover.prove("--format", "json")
        assert json.loads(text)["kept"] == LAST + 1
    finally:
        restore(prover.root, copy)


@pytest.mark.slow
def test_the_whole_chain_is_walked_in_full_where_that_is_asked_for(prover: Prover) -> None:
    full = json.loads(prover.prove("--format", "json", "--full")[1])
    assert (full["kept"], full["chain"], full["chain_length"]) == (LAST - 1, "the whole chain", LAST)


def test_a_walk_that_cannot_be_read_is_ignored(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", last=LAST)
    with Prover(root) as prover:
        fresh = prover.prove("--format", "json")
        (store,) = (root / ".dbkit").glob("proofs*")
        for path in store.glob("walk-*"):
            content = Store(store).read(path.name)
            assert Store(store).write(path.name, {**content, "walk": {"checkpoint": 7}})
        last = root / f"migrations/versions/r{LAST}.py"
        last.write_text(last.read_text() + "# edited")
        assert prover.look() == (False, True)
        code, text = prover.prove("--format", "json")
        assert json.loads(text)["kept"] == 0
        assert without_times((code, text)) == without_times(fresh)


@pytest.mark.slow
def test_a_damaged_archive_is_ignored(prover: Prover) -> None:
    found = {path: path.read_bytes() for path in (prover.root / ".dbkit").glob("proofs*/archive-*")}
    assert found
    last = prover.root / f"migrations/versions/r{LAST}.py"
    before = last.read_text()
    last.write_text(before + "# edited")
    for path, content in found.items():
        path.write_bytes(content[: len(content) // 2])
    assert prover.look() == (False, True)
    text = prover.prove("--format", "json")[1]
    assert (json.loads(text)["kept"], json.loads(text)["chain_length"]) == (0, LAST)
    last.write_text(before)


PROBLEMS = {
    "a program is started": "import subprocess; subprocess.run(['true'])",
    "a connection is opened to what is not the scratch server": (
        "import socket\ntry: socket.create_connection(('127.0.0.1', 1), timeout=1)\nexcept OSError: pass"
    ),
    "words.txt has changed meanwhile": (
        "words = HERE / 'versions/words.txt'; words.write_text(words.read_text() + ' ')"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "code"), others_slow(1, list(PROBLEMS.items())))
def test_a_proof_with_unknown_inputs_is_not_kept(problem: str, code: str, tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", code)
    with Prover(root) as prover:
        text = prover.prove("--rows", "0")[1]
        assert re.search(rf"nothing is kept for the next run: .*{re.escape(problem)}", text)
        assert not prover.is_kept("--rows", "0")
    assert not entries(root)


@pytest.mark.slow
def test_secrets_are_not_kept(tmp_path: Path) -> None:
    extra = 'dict(os.environ); os.environ["TEAM_PASSWORD"]; context.get_x_argument()'
    root = make_project(tmp_path / "project", extra)
    secret = "correct-horse-battery"
    variables = {"TEAM_PASSWORD": secret}
    options = ("--rows", "0", "-x", f"password={secret}", "--set-env", f"TEAM_TOKEN={secret}")
    with Prover(root) as prover:
        prover.prove(*options, env=variables)
        assert prover.is_kept(*options, env=variables)
        assert not prover.is_kept(*options, env={"TEAM_PASSWORD": "another"})
    found = [path for path in (root / ".dbkit").rglob("*") if path.is_file()]
    assert len(found) > 1
    for path in found:
        assert secret.encode() not in path.read_bytes()
        assert path.name == ".gitignore" or path.stat().st_mode & 0o077 == 0


def test_two_runs_at_once_both_keep(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    command = [sys.executable, "-m", "dbkit", "roundtrip", "-c", "alembic.ini", "--rows", "0", "--format", "json"]
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [process.communicate()[0] for process in both]
    third = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout
    assert json.loads(third)["kept"] == 2
    assert len({without_times((0, text))[1] for text in (*texts, third)} - {""}) in (1, 2)  # times of revisions
    assert not list((root / ".dbkit").glob("proofs*/unfinished-*"))


WRITER = """
import sys
from pathlib import Path
from dbkit.proof_cache.store import open_store
store = open_store(Path(sys.argv[1]), create=True)
print(store.directory, flush=True)
number = 0
while True:
    number += 1
    store.write("entry", {"number": [number] * 300_000})
"""


def test_a_process_that_is_killed_while_it_writes_spoils_nothing(tmp_path: Path) -> None:
    from dbkit.proof_cache.store import Store

    unfinished = 0
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        store = Store(Path(writer.stdout.readline().strip()))
        until(lambda store=store: list(store.directory.glob("unfinished-*")))  # type: ignore[misc]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        unfinished += len(list(store.directory.glob("unfinished-*")))
        found = store.read("entry")
        assert found is None or set(found["number"]) == {found["number"][0]}
        assert len(list(tmp_path.glob(".dbkit/proofs*"))) == 1
    assert unfinished or store.read("entry")
    for path in store.directory.glob("unfinished-*"):
        os.utime(path, (0, 0))
    store.trim()
    assert not list(store.directory.glob("unfinished-*"))
