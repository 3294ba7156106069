"""The commands in messages, for the kit's own project and for another one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit import hints
from dbkit.errors import InputError
from dbkit.project import env_file

TEXTS = {
    "`make migrate`": "`dbkit migrate -c x.ini`",
    "make migrate to=ab12, then make restore": "dbkit migrate -c x.ini --to ab12, then dbkit restore -c x.ini",
    '`make revision m="…"`.': '`dbkit revision -c x.ini -m "…"`.',
    'echo "DROP INDEX i" | make psql': 'echo "DROP INDEX i" | dbkit psql --config x.ini',
    "`make history` lists them.": "`alembic -c x.ini history` lists them.",
    "and record it: python -m dbkit resolve ab12": "and record it: dbkit resolve -c x.ini ab12",
    "`python -m dbkit log` shows": "`dbkit log -c x.ini` shows",
    "make rebase-migration rev=ab12": "dbkit rebase-migration -c x.ini --revision ab12",
    "restore the database, or,\nwhere it may lose its data, `make reset`.": "restore the database.",
    "Check the user in .env.": "Check the user in the environment.",
    "to make a database": "to make a database",
}


@pytest.fixture
def other() -> Iterator[None]:
    """Another project than the kit's own."""
    hints.for_project("-c", "x.ini")
    yield
    hints.for_kit()


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize("text", TEXTS)
def test_commands_of_another_project(text: str) -> None:
    assert hints.render(text) == TEXTS[text]
    assert InputError("no.", text).hint == TEXTS[text]
    assert hints.render(TEXTS[text]) == TEXTS[text]  # a message may contain that of an error


@pytest.mark.parametrize("text", TEXTS)
def test_the_kit_s_own_are_as_they_are_written(text: str) -> None:
    assert hints.render(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from dbkit import gate\ngate.install(context)\n", True),
        ("import dbkit.gate\ndbkit.gate.install(context)\n", True),
        ("from dbkit.gate import install as put\nput(context)\n", True),
        ("from dbkit import gate\n# pip install dbkit\ngate.run(context, root=root, load_metadata=load)\n", False),
        ("from dbkit import gate\nsignal.install(1)\ngate.run(context, root=root, load_metadata=load)\n", False),
        ("gate.install(context)\n", False),
    ],
)
def test_an_env_py_that_connects_by_itself(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "env.py").write_text(text)
    assert env_file.keeps_connection(tmp_path) is expected
