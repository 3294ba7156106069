"""Revisions that an earlier run has loaded: which of them need not be loaded, and what Alembic knows of them."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import Script, ScriptDirectory

from dbkit.project.known_revisions import describe_revision, known_revisions
from dbkit.project.revision_source import read_source

FILE = '''\
"""{message}

Revision ID: {revision}
"""
from typing import Sequence, Union

import sqlalchemy as sa
from alembic import op

revision: str = "{revision}"
down_revision: Union[str, Sequence[str], None] = {down!r}
branch_labels: Union[str, Sequence[str], None] = {labels!r}
depends_on: Union[str, Sequence[str], None] = {depends!r}
NAMES = ["a", "b"]


def upgrade() -> None:
    op.execute("SELECT 1")


def downgrade() -> None:
    for name in NAMES:
        op.execute(name)
'''


def write(root: Path, revision: str, down: object = None, labels: object = None, depends: object = None) -> Path:
    path = root / "versions" / f"{revision}.py"
    path.parent.mkdir(exist_ok=True)
    message = f"message of {revision}"
    path.write_text(FILE.format(revision=revision, message=message, down=down, labels=labels, depends=depends))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    write(tmp_path, "a1")
    write(tmp_path, "b1", "a1", labels=("left",))
    write(tmp_path, "b2", "a1", labels="right", depends="b1")
    write(tmp_path, "c1", ("b1", "b2"))
    yield tmp_path
    read_source.cache_clear()


def load(root: Path) -> dict[str, Script]:
    return {script.revision: script for script in ScriptDirectory(str(root)).walk_revisions()}


def describe(script: Script) -> tuple[object, ...]:
    names = script.down_revision, script.nextrev, script.branch_labels, script.dependencies, script.is_head
    words = sorted(re.findall(r"\w+", script.cmd_format(verbose=True)))  # the order of several labels is that of a set
    return *names, script.doc, script.longdoc, str(script.path), words


def test_the_history_is_that_of_the_files(root: Path) -> None:
    loaded = load(root)
    known = {str(script.path): found for script in loaded.values() if (found := describe_revision(script))}
    assert len(known) == len(loaded)
    with known_revisions(known):
        again = load(root)
    assert {revision: describe(script) for revision, script in again.items()} == {
        revision: describe(script) for revision, script in loaded.items()
    }


def load_known(root: Path) -> dict[str, Script]:
    known = {str(script.path): found for script in load(root).values() if (found := describe_revision(script))}
    with known_revisions(known):
        return load(root)


def test_a_file_is_loaded_when_it_is_used(root: Path) -> None:
    scripts = load_known(root)
    (root / "versions/a1.py").write_text("raise RuntimeError('it is loaded')")
    module = scripts["a1"].module
    assert not hasattr(module, "__path__")
    assert scripts["a1"].doc == "message of a1"
    assert Path(str(module.__file__)) == root / "versions/a1.py"
    for _ in range(2):
        with pytest.raises(RuntimeError, match="it is loaded"):
            module.upgrade  # noqa: B018
    module = scripts["b1"].module
    assert (module.down_revision, module.depends_on) == ("a1", None)
    assert callable(module.downgrade)
    assert (module.NAMES, module.down_revision, module.__name__) == (["a", "b"], "a1", "b1_py")
    assert module.upgrade.__globals__ is vars(module)
    with pytest.raises(AttributeError):
        module.missing  # noqa: B018


def test_what_is_set_in_a_module_is_seen_by_its_functions(root: Path) -> None:
    module = load_known(root)["b1"].module
    module.NAMES = ["other"]
    assert module.downgrade.__globals__["NAMES"] == ["other"]
    assert "for name in NAMES" in inspect.getsource(module)


def test_a_file_that_is_not_known_is_loaded(root: Path) -> None:
    known = {str(script.path): found for script in load(root).values() if (found := describe_revision(script))}
    path = write(root, "d1", "c1")
    path.write_text(path.read_text().replace("NAMES = [", "NAMES = ['d', "))
    with known_revisions(known):
        assert load(root)["d1"].module.NAMES == ["d", "a", "b"]


def test_a_docstring_with_a_secret_is_not_kept(root: Path) -> None:
    path = root / "versions/a1.py"
    path.write_text(path.read_text().replace("message of a1", "ALTER ROLE app PASSWORD 'hunter2-Zq81x'"))
    read_source.cache_clear()
    assert describe_revision(load(root)["a1"]) is None


EFFECTS = {
    "a call": "import uuid\nTOKEN = uuid.uuid4()\n",
    "a call among others": "NAMES = [str(each) for each in range(3)]\n",
    "a module of the project": "import team_types\n",
    "a package that is installed": "from psycopg import sql\n",
    "a relative import": "from . import names\n",
    "an import that may fail": "try:\n    import team_types\nexcept ImportError:\n    pass\n",
    "a decorator": "from functools import cache\n@cache\ndef one():\n    return 1\n",
    "a class": "class Row:\n    pass\n",
    "a default that is called": "def one(now=print()):\n    return now\n",
    "a condition": "if revision:\n    pass\n",
    "a statement": "del NAMES\n",
}


@pytest.mark.parametrize("code", EFFECTS.values(), ids=EFFECTS)
def test_a_file_with_effects_is_loaded(root: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "team_types.py").write_text("")
    monkeypatch.syspath_prepend(str(root))
    path = root / "versions/a1.py"
    relative = code.startswith("from .")
    path.write_text(path.read_text() + ("" if relative else code))
    script = load(root)["a1"]
    if relative:  # Alembic cannot load it by itself, but a package may
        path.write_text(path.read_text() + code)
    read_source.cache_clear()
    assert describe_revision(script) is None
    sys.modules.pop("team_types", None)


def test_a_file_of_an_unknown_shape_is_loaded(root: Path) -> None:
    scripts = load(root)
    scripts["a1"].module.depends_on = 7  # type: ignore[attr-defined]
    assert describe_revision(scripts["a1"]) is None
    assert describe_revision(scripts["b1"]) is not None
