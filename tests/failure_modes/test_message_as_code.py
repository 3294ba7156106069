"""A revision's message is executed as code."""

from support.pair import Pair


def test_04_a_message_that_is_run(pair: Pair) -> None:
    for project in (pair.bare, pair.gated):
        message = f'"""\nopen({str(project.root / "was_run")!r}, "w")\n"""'
        project.alembic("revision", "-m", message)
        assert (project.root / "was_run").exists() != project.gated
        project.alembic("revision", "-m", r"C:\users", "--head", "base", "--splice")
        assert (project.alembic("heads").returncode == 0) == project.gated
