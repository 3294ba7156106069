"""What is found in the text of migration files, without running them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit import project
from dbkit.findings.finding import Level, LintFinding
from dbkit.lint import source_rules
from support.source_findings import HEAD, INI, ids


@pytest.mark.parametrize(
    "statement",
    [
        """op.execute('{"paid":true}')""",
        """op.execute("it is " "see :note")""",
        """op.execute("it is " + "see :note")""",
        """op.execute(f"UPDATE {op.f('t')} SET a = 'see :note'")""",
        """op.execute(sa.text("see :note"))""",
        """op.get_bind().execute(text("see :note"))""",
        """op.get_bind().scalar(sa.text("SELECT :note"))""",
        """op.execute(":1")""",
    ],
)
def test_a_word_after_a_colon_that_has_no_value(found: Callable[..., list[LintFinding]], statement: str) -> None:
    assert ids(found(statement)) == ["unbound-parameter"]


@pytest.mark.parametrize(
    "statement",
    [
        """op.execute("a::text, 10:30, 'x: y', a[1:2]")""",
        r"""op.execute(r"see \\:note")""".replace("\\\\", "\\"),
        """op.execute(f"a:{op.f('t')} :{op.f('t')}")""",
        """op.execute(sa.text("see :note").bindparams(note=1))""",
        """op.get_bind().execute(sa.text("see :note"), {"note": 1})""",
        """op.get_bind().execute(sa.text("see :note"), parameters={"note": 1})""",
        """op.get_bind().exec_driver_sql("see :note")""",
        """op.add_column("t", sa.Column("a", sa.Text, comment="see :note"))""",
        """op.execute(sa.select(sa.literal("see :note")))""",
        """op.execute(":" + op.f("t"))""",
    ],
)
def test_what_is_no_parameter_or_has_a_value(found: Callable[..., list[LintFinding]], statement: str) -> None:
    assert found(statement) == []


def test_a_branch_that_is_not_run(found: Callable[..., list[LintFinding]]) -> None:
    (advice,) = found("if op.get_bind().scalar(text('SELECT false')):\n        op.execute('see :note')")
    assert (advice.id, advice.level, advice.line) == ("unbound-parameter", Level.DANGER, 10)


@pytest.mark.parametrize("down", ["pass", '"""Nothing."""', "..."])
def test_an_empty_downgrade(found: Callable[..., list[LintFinding]], down: str) -> None:
    assert ids(found(down=down)) == ["empty-downgrade"]
    assert found("pass", down) == []
    assert found(down="raise NotImplementedError") == []


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("with op.get_context().autocommit_block():\n        op.execute('SELECT 1')\n    op.execute('SELECT 2')", 10),
        ("op.execute('SELECT 2')\n    with op.get_context().autocommit_block():\n        op.execute('SELECT 1')", 11),
        ("backfill(op, 't', 'a = 1')\n    op.execute('SELECT 2')", 9),
    ],
)
def test_a_block_that_is_not_alone(found: Callable[..., list[LintFinding]], body: str, line: int) -> None:
    assert [(each.id, each.line, each.level) for each in found(body)] == [
        ("autocommit-block-shared", line, Level.WARNING)
    ]
    assert [(each.id, each.level) for each in found(down=body)] == [("autocommit-block-shared", Level.NOTE)]


@pytest.mark.parametrize(
    "body",
    [
        "with op.get_context().autocommit_block():\n        op.execute('SELECT 1')",
        "with op.get_context().autocommit_block():\n        op.execute('SELECT 1')\n        op.execute('SELECT 2')",
        "backfill(op, 't', 'a = 1')\n    backfill(op, 'u', 'a = 1')",
    ],
)
def test_a_block_that_is_alone(found: Callable[..., list[LintFinding]], body: str) -> None:
    assert found(body) == []


@pytest.mark.parametrize(
    "statement",
    [
        "op.get_bind().commit()",
        "connection = op.get_bind(); connection.rollback()",
        "op.execute('COMMIT')",
        "op.execute(text('-- x\\nEND'))",
    ],
)
def test_a_commit_by_hand(found: Callable[..., list[LintFinding]], statement: str) -> None:
    assert [(each.id, each.level) for each in found(statement)] == [("commit-by-hand", Level.DANGER)]
    assert [(each.id, each.level) for each in found(down=statement)] == [("commit-by-hand", Level.NOTE)]
    block = f"with op.get_context().autocommit_block():\n        {statement}"
    assert found(block) == [], "there Alembic has no transaction"


def test_the_commit_of_an_orm_session_ends_nothing(found: Callable[..., list[LintFinding]]) -> None:
    assert found("session = sa.orm.Session(bind=op.get_bind()); session.commit()") == []


@pytest.mark.parametrize("name", ["aaaa.py.orig", "aaaa.py~", ".aaaa.py.swp", ".#bbbb.py", "old/bbbb.py"])
def test_a_file_that_alembic_passes_over(versions: Path, found: Callable[..., list[LintFinding]], name: str) -> None:
    (versions / "old").mkdir()
    (versions / name).write_text(HEAD)
    (advice,) = found()
    assert (advice.id, advice.path, advice.revision) == ("stray-file", versions / name, "")


@pytest.mark.parametrize(
    "name", ["__init__.py", "__pycache__/aaaa.cpython-311.pyc", "aaaa.sql", "README", "sql/helper.py"]
)
def test_files_that_may_lie_there(versions: Path, found: Callable[..., list[LintFinding]], name: str) -> None:
    (versions / name).parent.mkdir(exist_ok=True)
    (versions / name).write_text("A = 1\n")
    assert found() == []


def test_a_directory_that_alembic_reads(versions: Path, found: Callable[..., list[LintFinding]]) -> None:
    (versions / "2026").mkdir()
    (versions / "2026/bbbb.py").write_text(HEAD.replace("aaaa", "bbbb"))
    assert ids(found()) == ["stray-file"]
    ini = versions.parents[1] / "alembic.ini"
    ini.write_text(f"{INI}recursive_version_locations = true\n")
    assert found() == []


def test_revisions_that_were_not_asked_for(versions: Path, found: Callable[..., list[LintFinding]]) -> None:
    found(down="pass")
    loaded = project.load(versions.parents[1] / "alembic.ini")
    assert ids(list(source_rules.find_in_project(loaded, ["aaaa"]))) == ["empty-downgrade"]
    assert list(source_rules.find_in_project(loaded, [])) == []
