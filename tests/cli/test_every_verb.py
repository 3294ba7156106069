"""Each verb does its work in one project, one after the other."""

from support.every_verb import MODELS, VERBS_RUN, prepare
from support.pair import Pair

OTHERS = {"check": 1, "resolve": 2}
"""The exit codes that are not 0: the project has findings, and nothing in it was interrupted."""
CHECKED = 'columns = sa.CheckConstraint("extra <> \'\'", name="extra_is_given"), '


def test_every_verb_runs(pair: Pair) -> None:
    prepare(pair)
    for verb, arguments in VERBS_RUN:
        ran = pair.gated.dbkit(verb, *arguments)
        assert ran.returncode == OTHERS.get(verb, 0), f"{verb}: {ran.stdout}{ran.stderr}"
        assert "Traceback" not in ran.stderr


def test_a_draft_has_the_check_constraint(pair: Pair) -> None:
    prepare(pair)
    assert CHECKED not in MODELS
    env_py = pair.gated.env_py
    env_py.write_text(env_py.read_text().replace("columns = ", CHECKED))
    assert pair.gated.dbkit("migrate").returncode == 0
    (pair.gated.versions.parent / "HEAD").write_text("rev3\n")
    drafted = pair.gated.dbkit("revision", "-m", "a check")
    assert drafted.returncode == 0, drafted.stderr
    assert "op.create_check_constraint" in "".join(
        path.read_text() for path in pair.gated.versions.glob("*a_check*.py")
    )
