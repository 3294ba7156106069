"""A stash is removed only where it is certain that nothing was lost, and put back into another database only by name."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbkit.settings import Settings, Target
from dbkit.stash import store
from dbkit.stash.identity import Fate, assess_stash, read_identity
from dbkit.stash.manifest import parse_manifest
from support import pair as pair_module
from support.pair import Pair, Project
from support.running import others_slow
from support.servers import free_port, listening
from support.stashes import KEYED, execute, prints, stashes, typed

DROPS = (KEYED, execute("DROP TABLE item"))
FILL = "INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, 10) i"


@pytest.fixture
def project(pair: Pair) -> Project:
    return pair.gated


def rolled_back(pair: Pair) -> tuple[dict[str, object], Path]:
    """Roll a table of ten rows back. Returns what the rows were, and the stash."""
    project = pair.gated
    pair.write(DROPS)
    typed(project, "migrate")
    project.query(FILL)
    before = prints(project)
    typed(project, "rollback")
    [stash] = stashes(project)
    return before, stash


def abort_one(project: Project) -> int:
    """The number of a transaction that was rolled back."""
    with psycopg.connect(**project.target.parameters()) as connection:
        row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        connection.rollback()
    assert row
    return int(row[0])


@pytest.mark.slow
def test_a_database_that_was_rebuilt_at_the_same_address_gets_its_rows_back_by_name(
    local_settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    with listening(local_settings, port) as target:
        pair = pair_module.make(tmp_path, target, target)
        project = pair.gated
        before, stash = rolled_back(pair)
    transaction = json.loads((stash / "manifest.json").read_text())["transaction"]
    with listening(local_settings, port):  # what the dump of a database without migrations has: nothing
        while abort_one(project) <= transaction:
            pass
        assert project.query(f"SELECT pg_xact_status('{transaction}')") == [("aborted",)]
        typed(project, "migrate")
        words = "it was made on the server "
        told = typed(project, "status")
        assert words in told
        assert f"`make restore name={stash.name}`" in told
        assert "nothing was lost" not in told
        refused = typed(project, "restore", code=3)
        assert words in refused
        assert f"`make restore name={stash.name}`" in refused
        assert (stashes(project), project.query("SELECT count(*) FROM item")) == ([stash], [(0,)])
        typed(project, "rollback")  # which removes what is not needed
        assert stash.is_dir()
        typed(project, "migrate")
        restored = typed(project, "restore", "--name", stash.name)
        assert "warning: " in restored
        assert "item: 0 rows matched, 10 put back; the same as before, by fingerprint" in restored
        assert prints(project) == before


@pytest.mark.slow
def test_after_a_reset_nothing_of_the_dropped_database_is_put_back_unasked(pair: Pair, project: Project) -> None:
    before, stash = rolled_back(pair)
    typed(project, "reset")
    refused = typed(project, "restore", code=3)
    assert "it was made in the database with the OID " in refused
    assert (stashes(project), project.query("SELECT count(*) FROM item")) == ([stash], [(0,)])
    typed(project, "restore", "--name", stash.name)
    assert prints(project) == before


def rewritten(stash: Path, manifest: dict[str, Any]) -> None:
    (stash / "manifest.json").write_text(json.dumps(manifest))


ELSEWHERE: list[tuple[dict[str, Callable[[int], int | None]] | None, str]] = [
    ({}, ""),
    ({"system": lambda _: None}, "this role may not read the identity of the server"),
    ({"system": lambda number: number + 1}, "it was made on the server"),
    ({"database": lambda number: number + 1}, "it was made in the database with the OID"),
    ({"timeline": lambda number: number + 1}, "the server has had a recovery or a failover since"),
    ({"timeline": lambda _: None}, "the server has had a recovery or a failover since"),
    ({"log": lambda number: number + 2**40}, "the server is a copy from before it was made"),
    (None, "an older dbkit wrote it, which did not record the database"),
]


@pytest.mark.slow
def test_where_its_transaction_says_nothing_a_stash_stays(
    pair: Pair, project: Project, local_settings: Settings
) -> None:
    """In all of these, a transaction with the number of the rollback's was rolled back; None: an older dbkit's."""
    before, stash = rolled_back(pair)
    typed(project, "migrate")
    manifest = json.loads((stash / "manifest.json").read_text())
    manifest["transaction"] = abort_one(project)
    for changes, why in ELSEWHERE:
        if changes is None:
            del manifest["sequences"]
            other = manifest | {"format": 1}
            del other["identity"]
        else:
            identity = manifest["identity"]
            other = manifest | {"identity": identity | {name: new(identity[name]) for name, new in changes.items()}}
        rewritten(stash, other)
        with psycopg.connect(**project.target.parameters()) as connection:
            here = read_identity(connection)
            [found] = store.find_waiting(replace(local_settings, root=project.root), project.target, here)
            verdict = assess_stash(connection, here, found)
        assert (why in verdict.why, verdict.must_be_named, verdict.fate is Fate.UNNEEDED) == (
            True,
            bool(why),
            not why,
        ), changes
    assert ELSEWHERE[-1][1] in typed(project, "status")
    assert ELSEWHERE[-1][1] in typed(project, "restore", code=3)
    assert stashes(project) == [stash]
    typed(project, "restore", "--name", stash.name)
    assert prints(project) == before


@pytest.mark.slow
def test_where_its_transaction_was_rolled_back_here_a_stash_is_removed(pair: Pair, project: Project) -> None:
    _, stash = rolled_back(pair)
    typed(project, "migrate")
    rewritten(stash, json.loads((stash / "manifest.json").read_text()) | {"transaction": abort_one(project)})
    assert "so nothing was lost" in typed(project, "status")
    assert "There is no stash" in typed(project, "restore")
    assert stashes(project) == []


@pytest.mark.slow
def test_a_stash_is_found_again_under_another_address(pair: Pair, project: Project, tmp_path: Path) -> None:
    """A failover, or another name of the same host: it is the same database."""
    before, _ = rolled_back(pair)
    link = tmp_path / "other"
    link.symlink_to(str(project.target.host))
    project.target = replace(project.target, host=str(link))
    assert "put it back with `make restore`" in typed(project, "migrate")
    typed(project, "restore")
    assert prints(project) == before


def test_who_may_not_ask_for_the_identifier_gets_none(database: Target) -> None:
    with psycopg.connect(**database.parameters()) as connection:
        [number] = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone() or ()
        assert read_identity(connection).system == number
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        connection.execute("CREATE ROLE ordinary")
        connection.execute("SET ROLE ordinary")
        found = read_identity(connection)
        assert (found.system, found.timeline) == (None, 1)
        connection.rollback()


@pytest.mark.slow
def test_a_stash_of_an_older_dbkit_is_put_back(pair: Pair, project: Project) -> None:
    """Format 1: without identity, sequences by column, and a column for each hash that the rollback has left."""
    pair.write(
        execute("CREATE TABLE item (id serial PRIMARY KEY, name text, size int)"),
        (
            execute("CREATE TABLE other (id serial PRIMARY KEY)"),
            execute("UPDATE item SET name = 'x', size = NULL", "DROP TABLE other"),
        ),
    )
    typed(project, "migrate")
    project.query("INSERT INTO item (name, size) SELECT 'name ' || i, i FROM generate_series(1, 9) i")
    project.query("INSERT INTO other SELECT FROM generate_series(1, 7)")
    before = prints(project)
    typed(project, "rollback")
    typed(project, "migrate")
    [stash] = stashes(project)
    path = stash / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["identity"], manifest["sequences"]
    manifest["format"] = 1
    for kept in manifest["tables"]:
        kept["sequences"] = {"id": 7} if kept["table"] == "other" else {}
    path.write_text(json.dumps(manifest))
    [hashes] = stash.glob("*.after")
    lines = hashes.read_text().translate({ord("{"): None, ord("}"): None, ord(","): "\t"}).replace("NULL", "\\N")
    hashes.write_text(lines)
    note = json.loads(hashes.with_suffix(".json").read_text())
    del note["in_array"]
    note |= {"size": len(lines), "sha256": sha256(lines.encode()).hexdigest()}
    hashes.with_suffix(".json").write_text(json.dumps(note))
    restored = typed(project, "restore")
    assert "item: 9 rows matched, 9 put back" in restored
    assert "sequence other_id_seq: put back, at 7" in restored
    assert prints(project) == before


BASE: dict[str, Any] = {
    "database": "shop",
    "server": "localhost:5432",
    "heads": ["rev1"],
    "revision": "rev1",
    "began": "2026-11-28T19:00:00.000+00:00",
    "time": "2026-11-28T19:00:00.000+00:00",
    "transaction": 7,
    "tables": [
        {
            "schema": "public",
            "table": "item",
            "why": "dropped",
            "key": [["id", "integer"]],
            "columns": [["id", "integer"], ["name", "text"]],
            "lost": ["id", "name"],
            "saved": {"file": "1.copy", "rows": 1, "size": 4, "sha256": "0" * 64},
            "sequences": {},
        }
    ],
    "format": 2,
    "identity": {"system": 7713305950969823091, "database": 16386, "timeline": 1, "log": 39045432},
    "sequences": [{"schema": "public", "name": "s", "owner": [], "last_value": 5, "is_called": True}],
}
SAVED, TABLE = ("tables", 0, "saved"), ("tables", 0)
HOSTILE: list[tuple[tuple[str | int, ...], Any]] = [
    ((*SAVED, "file"), "../../../etc/passwd"),
    ((*SAVED, "file"), "/etc/passwd"),
    ((*SAVED, "file"), "1.copy\n"),
    ((*SAVED, "file"), "manifest.json"),
    ((*SAVED, "file"), ["1.copy"]),
    ((*SAVED, "rows"), "1"),
    ((*SAVED, "rows"), -1),
    ((*SAVED, "size"), 2**70),
    ((*SAVED, "sha256"), ""),
    ((*SAVED, "more"), 1),
    ((*TABLE, "sequences"), {"id": "0) FROM pg_class; DROP TABLE item; --"}),
    ((*TABLE, "sequences"), {"id": 1.5}),
    ((*TABLE, "sequences"), [["id", 1]]),
    ((*TABLE, "why"), "because"),
    ((*TABLE, "columns"), [["id", "integer"], ["id", "integer"]]),
    ((*TABLE, "columns"), [["id", 3]]),
    ((*TABLE, "columns"), [["id"]]),
    ((*TABLE, "columns"), []),
    ((*TABLE, "key"), [["other", "integer"]]),
    ((*TABLE, "key"), None),
    ((*TABLE, "lost"), ["gone"]),
    ((*TABLE, "lost"), "id"),
    ((*TABLE, "table"), "it\0em"),
    ((*TABLE, "table"), ""),
    ((*TABLE, "schema"), None),
    (("tables",), {"0": 1}),
    (("tables",), [BASE["tables"][0], BASE["tables"][0]]),
    (("transaction",), "7"),
    (("transaction",), True),
    (("transaction",), -7),
    (("heads",), "rev1"),
    (("heads",), ["\x1b]0;title\x07"]),
    (("revision",), "\x1b[2J"),
    (("time",), "yesterday"),
    (("began",), 5),
    (("format",), 3),
    (("format",), "2"),
    (("format",), [1]),
    (("identity", "system"), "1"),
    (("identity", "database"), None),
    (("identity",), []),
    (("sequences", 0, "last_value"), "1); DROP TABLE item; --"),
    (("sequences", 0, "last_value"), 2**63),
    (("sequences", 0, "is_called"), "true"),
    (("sequences", 0, "owner"), ["public", "item"]),
    (("sequences",), {}),
    (("unknown",), 1),
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=[f"{place[-1]}-{value!r:.30}" for place, value in HOSTILE])
def test_a_manifest_that_this_kit_would_not_write_is_none(place: tuple[str | int, ...], value: Any) -> None:
    manifest = json.loads(json.dumps(BASE))
    assert parse_manifest(json.dumps(manifest).encode()).tables[0].label == "item"
    inner = manifest
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=r"\w"):
        parse_manifest(json.dumps(manifest).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'"x"'])
def test_what_is_no_manifest_at_all_is_none(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_manifest(text)


@pytest.mark.parametrize(
    ("name", "kind"), others_slow(0, [("1.copy", "link"), ("1.copy", "fifo"), ("manifest.json", "link")])
)
def test_a_file_of_a_stash_that_is_no_file_is_not_read(pair: Pair, project: Project, name: str, kind: str) -> None:
    _, stash = rolled_back(pair)
    typed(project, "migrate")
    path = stash / name
    path.rename(project.root / "moved")
    if kind == "link":
        path.symlink_to(project.root / "moved")
    else:
        os.mkfifo(path)
    refused = typed(project, "restore", code=1 if name == "1.copy" else 2)
    assert "cannot be read" in refused or "is not the manifest of a stash" in refused
    assert project.query("SELECT count(*) FROM item") == [(0,)]
