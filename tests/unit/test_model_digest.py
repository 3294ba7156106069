"""The code of a module without the tables that it declares, and the modules on which a migration may depend."""

from pathlib import Path

import pytest

from dbkit.proof_cache.model_digest import digest_module, find_model_modules

MODELS = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from app.words import WORDS

class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention={"ix": "ix_%(column_0_label)s"})

class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    def total(self):
        return 1

def listen():
    return 1
"""
SAME = {
    "a comment": ("def listen", "# words\ndef listen"),
    "a column": ("    def total", "    note = sa.Column(sa.Text)\n    def total"),
    "an annotated column": ("    def total", "    note: str = sa.Column(sa.Text)\n    def total"),
    "another table": ("def listen", "class New(Base):\n    __tablename__ = 'new'\n    id = 1\n\ndef listen"),
    "a table of Core": ("def listen", "new = sa.Table('new', Base.metadata)\n\ndef listen"),
    "another import of SQLAlchemy": (
        "import sqlalchemy as sa",
        "import sqlalchemy as sa\nfrom sqlalchemy import Index",
    ),
}
OTHER = {
    "a naming convention": ("column_0_label", "column_0_name"),
    "a function": ("    return 1\n", "    return 2\n"),
    "a method": ("        return 1", "        return 2"),
    "an import of the project": ("import WORDS", "import WORDS, MORE"),
    "an import of another package": ("import sqlalchemy as sa", "import sqlalchemy as sa\nimport gevent.monkey"),
    "a statement": ("def listen", "print()\ndef listen"),
    "a class that is no table": ("def listen", "class Kind:\n    A = 1\n\ndef listen"),
    "a decorated class": ("def listen", "@registered\nclass N(Base):\n    __tablename__ = 'n'\n\ndef listen"),
    "no syntax": ("def listen", "def"),
}


def changed(tmp_path: Path, old: str, new: str) -> tuple[str, str]:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    before = digest_module(str(path))
    assert old in MODELS
    path.write_text(MODELS.replace(old, new))
    return before, digest_module(str(path))


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_tables_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    before, after = changed(tmp_path, old, new)
    assert before == after


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_all_else_counts(tmp_path: Path, old: str, new: str) -> None:
    before, after = changed(tmp_path, old, new)
    assert before != after


REVISIONS = {
    "from alembic import op": {"app/models.py", "app/words.py", "helpers.py"},
    "from app.models import Order": {"helpers.py"},
    "def upgrade():\n    import app": {"helpers.py"},
    "import helpers": set(),
    "from app import (\n    models)": {"helpers.py"},
    "op.get_context().opts['target_metadata']": set(),
    "import importlib": set(),
    "Base.metadata.create_all(op.get_bind())": set(),
}


@pytest.mark.parametrize(("revision", "expected"), REVISIONS.items())
def test_models_that_a_revision_may_use_count(tmp_path: Path, revision: str, expected: set[str]) -> None:
    files = {"app/models.py": "app.models", "app/words.py": "app.words", "helpers.py": "helpers"}
    (tmp_path / "app").mkdir()
    for name in files:
        (tmp_path / name).write_text("import sqlalchemy\n")
    (tmp_path / "helpers.py").write_text("import app.models\n")
    (tmp_path / "env.py").write_text("import app.models\n")
    (tmp_path / "r1.py").write_text(revision)
    modules = {str(tmp_path / name): module for name, module in files.items()}
    found = find_model_modules(modules, tmp_path / "env.py", [tmp_path / "r1.py"])
    assert {str(Path(path).relative_to(tmp_path)) for path in found} == expected


def test_models_that_make_tables_count(tmp_path: Path) -> None:
    models, env = tmp_path / "models.py", tmp_path / "env.py"
    models.write_text("")
    env.write_text("metadata.create_all(connection)")
    assert not find_model_modules({str(models): "models"}, env, [])
