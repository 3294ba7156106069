"""A chain has the same findings with every driver, and in transactions the same as by clones."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip import in_transaction
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.results import Unsupported
from dbkit.settings import Settings
from support.battery import NOTHING
from support.driver_chain import CASES, DRIVERS, STRINGS, Case, differences, env_for, found_in, python, write_chain

Prove = Callable[..., Outcome]


@pytest.fixture(scope="module")
def proven(local_settings: Settings, server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Prove:
    """The outcome of a chain with a driver: each is proven once."""

    @cache
    def run(driver: str, cases: tuple[Case, ...] = tuple(CASES), env: str = "", by_clones: bool = False) -> Outcome:
        ini = write_chain(tmp_path_factory.mktemp(driver), [*cases], env or env_for(driver))
        request = Request(server=server.target("postgres"), access=Access(driver=driver), jobs=1)
        with pytest.MonkeyPatch.context() as patch:
            if by_clones:
                patch.setattr(in_transaction, "open_proof_connection", lambda *_: Unsupported())
            return prove(local_settings, ini, request)

    return run


def verdicts(outcome: Outcome) -> dict[str, tuple[str, bool]]:
    """By the name of a case, its verdict and whether it was proven in its transaction."""
    return {each.message: (each.verdict.value, each.transactional) for each in outcome.revisions}


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_fault_is_found(proven: Prove, driver: str) -> None:
    assert verdicts(proven(driver)) == {case.name: (case.expected(driver), case.in_transaction) for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS[1:])
def test_the_findings_are_those_of_psycopg(proven: Prove, driver: str) -> None:
    different = {case.name for case in CASES if case.expected(driver) != case.verdict}
    found = differences(found_in(proven("psycopg")), found_in(proven(driver)))
    assert {each.partition(":")[0] for each in found} == different


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_findings_in_transactions_are_those_by_clones(proven: Prove, driver: str) -> None:
    assert not [*differences(found_in(proven(driver, by_clones=True)), found_in(proven(driver)))]


@pytest.mark.slow
def test_several_statements_in_one_string(proven: Prove) -> None:
    """The statements of one string are counted one by one, and asyncpg refuses it."""
    cases = tuple(STRINGS)
    expected = proven("psycopg", cases)
    assert verdicts(expected) == {case.name: (case.verdict, True) for case in STRINGS}
    assert not [*differences(found_in(expected), found_in(proven("psycopg2", cases)))]
    assert [*verdicts(proven("asyncpg", cases)).values()] == [("proven", True), ("broken", False), ("unproven", False)]


ROLE = """connection.execute(text("DO $$ BEGIN CREATE ROLE dbkit_migrator; EXCEPTION WHEN duplicate_object THEN NULL; END $$"))
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS apart AUTHORIZATION dbkit_migrator"))
    connection.commit()
    connection.execute(text("SET ROLE dbkit_migrator"))
    connection.execute(text("SET search_path = apart"))
    connection.commit()
    """.rstrip()
ALIKE = (
    Case("table", "CREATE TABLE a (id int PRIMARY KEY, x text)", "DROP TABLE a", "proven"),
    Case("index left", "CREATE INDEX IF NOT EXISTS ix_left ON a (id)", NOTHING, "dirty"),
    Case("values lost", "UPDATE a SET x = 'same'", NOTHING, "lossy"),
    Case("raw cursor", python("op.get_bind().connection.cursor().execute('CREATE TABLE r (id int)')"), "DROP TABLE r", "proven"),
    Case("concurrent index", python("with op.get_context().autocommit_block():", "    op.execute('CREATE INDEX CONCURRENTLY ix_c ON a (id)')"), "DROP INDEX ix_c", "proven", in_transaction=False),
    Case("the end", "CREATE TABLE b (id int)", "DROP TABLE b", "proven"),
)  # fmt: skip
GATE = "from dbkit import gate; gate.install(context)\n    "
ENVS = {
    "another role and search path": (ROLE, ", version_table_schema='apart'"),
    "one transaction for all": ("transaction = connection.begin()", ""),
    "behind the gate": (GATE.rstrip(), ""),
}


@pytest.mark.spread(5)
@pytest.mark.parametrize("name", ENVS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_env_py_does_before(proven: Prove, driver: str, name: str) -> None:
    before, options = ENVS[name]
    outcome = proven(driver, ALIKE, env_for(driver, before, options))
    expected = {case.name: (case.verdict, case.in_transaction) for case in ALIKE}
    if name == "one transaction for all":  # Alembic's autocommit_block() fails in it
        expected |= {"concurrent index": ("broken", False), "the end": ("unproven", False)}
    assert verdicts(outcome) == expected


@pytest.mark.spread(3)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_session_whose_encoding_changes(proven: Prove, driver: str) -> None:
    """Only psycopg itself learns of it."""
    cases = (*ALIKE[:1], Case("latin", python("op.execute(\"SET client_encoding = 'LATIN1'\")"), NOTHING, "proven", in_transaction=driver == "psycopg"), ALIKE[-1])  # fmt: skip
    cases = (Case("table", "CREATE TABLE a (id int)", "DROP TABLE a", "proven"), *cases[1:])
    expected = {case.name: (case.verdict, case.in_transaction) for case in cases}
    assert verdicts(proven(driver, cases)) == expected


AUTOCOMMIT = "connection = connection.execution_options(isolation_level='AUTOCOMMIT')"


@pytest.mark.spread(3)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_connection_that_commits_each_statement_needs_clones(proven: Prove, driver: str) -> None:
    cases = (Case("table", "CREATE TABLE a (id int)", "DROP TABLE a", "proven", in_transaction=False),)
    assert verdicts(proven(driver, cases, env_for(driver, AUTOCOMMIT))) == {"table": ("proven", False)}


@pytest.mark.spread(2)
@pytest.mark.parametrize("driver", DRIVERS[1:])
def test_several_processes(server: Cluster, local_settings: Settings, tmp_path: Path, driver: str) -> None:
    ini = write_chain(tmp_path, [*ALIKE], env_for(driver))
    request = Request(server=server.target("postgres"), access=Access(driver=driver), jobs=2)
    found = verdicts(prove(local_settings, ini, request))
    assert found == {case.name: (case.verdict, case.in_transaction) for case in ALIKE}


@pytest.mark.spread(2)
@pytest.mark.parametrize("driver", DRIVERS[1:])
def test_traces_are_those_of_psycopg(
    server: Cluster, local_settings: Settings, tmp_path_factory: pytest.TempPathFactory, driver: str
) -> None:
    def traced(driver: str) -> list[tuple[str, list[str]]]:
        ini = write_chain(tmp_path_factory.mktemp(driver), [*ALIKE], env_for(driver))
        request = Request(server=server.target("postgres"), access=Access(driver=driver), jobs=1, trace=True)
        outcome = prove(local_settings, ini, request)
        return [
            (
                f"{proof.message}, {trace.direction}",
                [
                    f"{each.sql} {sorted((used.relation, used.lock) for used in each.touched)}"
                    for each in trace.statements
                ],
            )
            for proof in outcome.revisions
            for trace in proof.traces
        ]

    assert traced(driver) == traced("psycopg")
