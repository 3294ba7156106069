"""What a deployment loads: the bare `alembic upgrade head` needs the gate, and nothing that proves or lints."""

import subprocess
import sys

import pytest

from support.pair import Pair, Project
from support.terminal import type_in_terminal

NOT_IN_PRODUCTION = (
    "commands",
    "reports",
    "drift",
    "lint",
    "rollback",
    "roundtrip",
    "trace",
    "coverage",
    "sample_data",
    "pictures",
    "plan",
)


FOR_PEOPLE = {"rich", "jinja2"}
"""Libraries that only the output of some verbs needs."""
LINE = "from alembic import context\n"


def loaded_by(pair: Pair, *arguments: str) -> set[str]:
    """The package's modules that an alembic command loads."""
    return loaded_in(pair.gated, *arguments)


def loaded_in(gated: Project, *arguments: str) -> set[str]:
    """The package's modules that an alembic command of a project loads, which loads no library for people."""
    command = [sys.executable, "-X", "importtime", *gated.command(*arguments)[1:]]
    run = subprocess.run(
        command, cwd=gated.root, env=gated.variables(), capture_output=True, text=True, check=True, timeout=60
    )
    names = imported(run.stderr)
    assert not FOR_PEOPLE & names
    return {name.partition(".")[2] for name in names if name.startswith("dbkit.")}


def imported(shown: str) -> set[str]:
    """The modules in what `-X importtime` shows."""
    return {line.rpartition("|")[2].strip() for line in shown.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("color", ["auto", "always"])
def test_a_migrate_with_nothing_to_do_loads_no_library_for_people_in_a_terminal(pair: Pair, color: str) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')")
    assert pair.gated.dbkit("migrate").returncode == 0
    command = [sys.executable, "-X", "importtime", "-m", "dbkit", "--color", color, "migrate"]
    environment = pair.gated.variables({"PYTHONPATH": str(pair.gated.root / "src")})
    shown = type_in_terminal(command, pair.gated.root, environment)
    assert (shown.exit_code, "nothing to apply" in shown.raw) == (0, True), shown.raw
    names = imported(shown.raw)
    assert "dbkit.terminal.person" in names
    assert not {each for each in names if each.partition(".")[0] in {*FOR_PEOPLE, "alembic", "sqlalchemy"}}
    assert "dbkit.terminal.tables" not in names


def test_the_gate_loads_nothing_that_proves(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')")
    for arguments in (("upgrade", "head"), ("upgrade", "head"), ("downgrade", "-1")):
        loaded = loaded_by(pair, *arguments)
        assert "gate" in loaded
        assert not {name for name in loaded if name.partition(".")[0] in NOT_IN_PRODUCTION}


def test_an_upgrade_with_nothing_to_do_loads_nothing_that_executes(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')")
    assert "gate.executor" in loaded_by(pair, "upgrade", "head")
    assert not {"gate.executor", "gate.monitor", "gate.diagnosis"} & loaded_by(pair, "upgrade", "head")


def test_the_gate_of_a_project_loads_nothing_that_proves(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')")
    env = pair.bare.env_py
    env.write_text(env.read_text().replace(LINE, f"{LINE}from dbkit import gate\n\ngate.install(context)\n", 1))
    loaded = loaded_in(pair.bare, "upgrade", "head")
    assert {"gate.executor", "gate.project_gate"} <= loaded
    assert not {name for name in loaded if name.partition(".")[0] in NOT_IN_PRODUCTION}
    assert not {"gate.executor", "gate.monitor", "gate.diagnosis"} & loaded_in(pair.bare, "upgrade", "head")


@pytest.mark.slow
def test_a_preflight_loads_only_what_asks(pair: Pair) -> None:
    pair.write("op.execute('CREATE TABLE t (id int)')", "op.execute('ALTER TABLE t ALTER id SET NOT NULL')")
    assert not {
        name for name in loaded_by(pair, "upgrade", "rev1") if name.startswith(("preconditions", "gate.preflight"))
    }
    ini = pair.gated.root / "alembic.ini"
    ini.write_text(f"{ini.read_text()}\n[dbkit]\npreflight = on\n")
    loaded = loaded_by(pair, "upgrade", "head")
    assert {"gate.preflight", "preconditions.ask", "preconditions.statements"} <= loaded
    assert not {name for name in loaded if name.partition(".")[0] in NOT_IN_PRODUCTION}
    assert "gate.preflight" not in loaded_by(pair, "upgrade", "head")  # nothing to do


def test_the_gate_loads_no_template_engine() -> None:
    code = "import sys, dbkit.gate, dbkit.commands.migrate, dbkit.gate.executor; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    # Alembic has Mako for new files, and that brings MarkupSafe
    assert not {"jinja2", "rich"} & set(run.stdout.split())


@pytest.mark.parametrize("verb", ["migrate", "psql"])
def test_a_verb_that_only_reads_loads_neither_alembic_nor_sqlalchemy(verb: str) -> None:
    code = f"import sys, dbkit.commands.{verb}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert not {"alembic", "sqlalchemy"} & set(run.stdout.split())


def test_a_proof_loads_the_parser_of_conditions_only_when_it_meets_one() -> None:
    code = "import sys, dbkit.roundtrip.prove; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    loaded = set(run.stdout.split())
    assert "dbkit.roundtrip.extra_rows" in loaded
    assert "sqlglot" not in loaded
