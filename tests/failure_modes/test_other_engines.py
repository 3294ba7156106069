"""A database that speaks PostgreSQL's protocol and is something else."""

import re
from dataclasses import replace

import pytest

from dbkit.postgres.engines import recognise
from support.engines import ENGINES, POSTGRES, Engine, serving
from support.failure_modes import TABLE, one_line
from support.pair import Pair, url_of
from support.running import others_slow

WRITES = re.compile(r"\b(create|alter|drop|insert|update|delete|lock|comment)\b", re.IGNORECASE)
BY_NAME = {engine.name: engine for engine in ENGINES}
MAIN = ("CockroachDB", "YugabyteDB", "Amazon Redshift", "Amazon Aurora DSQL")


@pytest.mark.spread(4)
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.version[:40])
def test_it_is_refused_by_name(pair: Pair, engine: Engine) -> None:
    pair.write(TABLE)
    with serving(engine) as (port, queries):
        target = replace(pair.gated.target, host="127.0.0.1", port=port)
        typed = pair.gated.alembic("upgrade", "head", env={"DATABASE_URL": url_of(target)})
    assert typed.returncode == 2, typed.stderr
    assert f"127.0.0.1:{port} is {engine.name}, not PostgreSQL: dbkit " in one_line(typed.stderr)
    assert not list(filter(WRITES.search, queries))


@pytest.mark.spread(3)
@pytest.mark.parametrize("engine", others_slow(1, [BY_NAME[name] for name in MAIN]), ids=MAIN)
@pytest.mark.parametrize("verb", [["status"], ["migrate"], ["rollback"], ["log"], ["drift"], ["preflight"]], ids=str)
def test_each_verb_refuses_it(pair: Pair, engine: Engine, verb: list[str]) -> None:
    pair.write(TABLE)
    with serving(engine) as (port, queries):
        target = replace(pair.gated.target, host="127.0.0.1", port=port)
        typed = pair.gated.dbkit(*verb, env={"DATABASE_URL": url_of(target)})
    assert typed.returncode == 2, typed.stderr
    assert f"is {engine.name}, not PostgreSQL: dbkit " in typed.stdout + typed.stderr  # `status` has it in its table
    assert "Traceback" not in typed.stderr
    assert not list(filter(WRITES.search, queries))


@pytest.mark.spread(4)
@pytest.mark.kit
@pytest.mark.parametrize("engine", [BY_NAME[name] for name in MAIN], ids=MAIN)
def test_a_proof_on_such_a_server_is_refused(pair: Pair, engine: Engine) -> None:
    pair.write(TABLE)
    with serving(engine) as (port, queries):
        typed = pair.gated.dbkit("roundtrip", "--server", f"postgresql://postgres@127.0.0.1:{port}/postgres")
    assert typed.returncode == 2, typed.stderr
    assert f"is {engine.name}, not PostgreSQL: dbkit " in one_line(typed.stderr)
    assert not list(filter(WRITES.search, queries))


@pytest.mark.parametrize("version", POSTGRES)
def test_postgresql_is_not_taken_for_another_engine(version: str) -> None:
    assert recognise(version) == ""
