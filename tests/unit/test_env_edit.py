"""The gate in an env.py: where its lines are put, that nothing else changes, and that they can be taken out again."""

import ast
import codecs
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dbkit.adoption.env_edit import add_gate, remove_gate
from dbkit.adoption.project_modules import ProjectModules
from dbkit.errors import InputError

ROOT = Path("/nowhere")
NONE = ProjectModules(())

# A line that begins with "+" is what is to be inserted.
INSERTED = {
    "template": """\
from logging.config import fileConfig

from sqlalchemy import engine_from_config
from sqlalchemy import pool

from alembic import context
+from dbkit import gate
+
+gate.install(context)

# this is the Alembic Config object
config = context.config
""",
    "one group, sorted": """\
import os

from alembic import context
+from dbkit import gate
from sqlalchemy import create_engine, pool

from app.models import Base
+
+gate.install(context)

config = context.config
""",
    "another name": """\
from alembic import context as ctx, op
+from dbkit import gate
+
+gate.install(ctx)

ctx.configure(url="x")
""",
    "the module": """\
import alembic.context
+from dbkit import gate
+
+gate.install(alembic.context)

alembic.context.configure(url="x")
""",
    "the package": """\
import alembic
import sqlalchemy
+from dbkit import gate
+
+gate.install(alembic.context)

alembic.context.configure(url="x")
""",
    "the package under another name": """\
import alembic as al
+from dbkit import gate
+
+gate.install(al.context)
al.context.configure(url="x")
""",
    "the module under another name": """\
import alembic.context as ctx
+from dbkit import gate
+
+gate.install(ctx)
ctx.configure(url="x")
""",
    "from the module": """\
from alembic.context import config, configure
import alembic.context as ctx
+from dbkit import gate
+
+gate.install(ctx)
configure(url="x")
""",
    "everything": """\
from alembic import *
+from dbkit import gate
+
+gate.install(context)

context.configure(url="x")
""",
    "a docstring and annotations": '''\
#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""How migrations
run."""
from __future__ import annotations
from alembic import context
+from dbkit import gate
+
+gate.install(context)
config = context.config
''',
    "after the path": """\
import os
import sys

sys.path.insert(0, os.getcwd())

from alembic import context
+from dbkit import gate

from app.models import Base
+
+gate.install(context)

config = context.config
""",
    "after .env, with models after the configuration": """\
+from dbkit import gate
from dotenv import load_dotenv

load_dotenv()

from alembic import context
from logging.config import fileConfig
+
+gate.install(context)

config = context.config
fileConfig(config.config_file_name)

from app.models import Base

target_metadata = Base.metadata
""",
    "after code, and a linter accepts it": """\
import app

app.load()

from alembic import context  # noqa: E402
+from dbkit import gate  # noqa: E402
+
+gate.install(context)

config = context.config
""",
    "after code, with a comment that accepts something else": """\
import sys

sys.setrecursionlimit(10_000)

from alembic import context  # noqa: F401
+from dbkit import gate
+
+gate.install(context)

config = context.config
""",
    "for type checkers": """\
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic import context

from alembic import context
+from dbkit import gate

if TYPE_CHECKING:
    from sqlalchemy import Connection
+
+gate.install(context)

context.configure(url="x")
""",
    "in try": """\
try:
    from alembic import context
except ImportError:
    raise SystemExit("install alembic")
+from dbkit import gate
+
+gate.install(context)

context.configure(url="x")
""",
    "all of it in a block": """\
from app import application

with application.app_context():
\tfrom alembic import context
+\tfrom dbkit import gate
+
+\tgate.install(context)
\tcontext.configure(url="x")
\tcontext.run_migrations()
""",
    "a name that is taken": """\
from alembic import context
+from dbkit import gate as dbkit_gate
+
+dbkit_gate.install(context)

def run(gate):
    context.configure(url=gate)
""",
    "two names that are taken": """\
from alembic import context
+from dbkit import gate as dbkit_gate_
+
+dbkit_gate_.install(context)
gate = dbkit_gate = 1
""",
    "several lines and a comment": """\
from alembic import (  # the tool
    context,
    op,
)  # noqa
+from dbkit import gate
# ours
from app import (
    models,
)  # noqa
+
+gate.install(context)
# the end
config = context.config
""",
    "a continued line": """\
from alembic \\
    import context
+from dbkit import gate
+
+gate.install(context)
config = context.config
""",
    "the import without a call": """\
from alembic import context

from dbkit import gate
+
+gate.install(context)  # dbkit adopt

config = context.config
""",
    "the import without a call, later": """\
from alembic import context
import dbkit.gate
+
+dbkit.gate.install(context)  # dbkit adopt
config = context.config
""",
    "two empty lines after the imports": """\
from alembic import context
+from dbkit import gate
import sqlalchemy


+gate.install(context)
+
# the Config object
config = context.config
""",
    "two empty lines before a function": """\
from alembic import context
+from dbkit import gate
+
+gate.install(context)


def run():
    context.configure(url="x")


run()
""",
    "two empty lines and no more": """\
from alembic import context
+from dbkit import gate
+
+gate.install(context)


""",
    "semicolons": """\
import os; from alembic import context; import sys
+from dbkit import gate
+
+gate.install(context)
config = context.config
""",
    "a semicolon with harmless code": """\
+from dbkit import gate
from alembic import context; config = context.config
+
+gate.install(context)
context.configure(url="x")
""",
    "a connection between imports": """\
from sqlalchemy import create_engine
from alembic import context
+from dbkit import gate
+
+gate.install(context)

if True:
    create_engine("postgresql://").connect()
import os
context.configure(url="x")
""",
    "a rebound name": """\
from alembic import context
+from dbkit import gate
+
+gate.install(context)
from app import context
context.run()
""",
    "form feeds": """\
import os
\f
from alembic import context
+from dbkit import gate
+
+gate.install(context)
\f
config = context.config
""",
    "a function before the import that only seems to migrate": """\
from app import prepare_migrations
+from dbkit import gate

prepare_migrations()

from alembic import context
+
+gate.install(context)

context.configure(url="x")
""",
    "no if at the end": """\
from alembic import context
from app.database import engine
+from dbkit import gate
+
+gate.install(context)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
""",
}
# the gate has to be called before the last import
UNTIDY = ("a rebound name", "a connection between imports", "after code, with a comment that accepts something else")
REFUSED = {
    "a syntax error": b"from alembic import context\ndef (:\n",
    "a null byte": b"from alembic import context\0\n",
    "no import": b"from app.migrations import run\nrun()\n",
    "in a function": b"def run():\n    from alembic import context\n    context.configure()\nrun()\n",
    "for type checkers only": b"import typing\nif typing.TYPE_CHECKING:\n    from alembic import context\n",
    "configured on the line": b"from alembic import context; context.configure()\n",
    "connected before": b"from app import engine\nconnection = engine.connect()\nfrom alembic import context\n",
    "one line": b"if 1: from alembic import context; context.configure()\n",
    "another encoding": "from alembic import context\n".encode("utf-16"),
    "nothing": b"",
}
KEPT = {
    "as documented": b"from alembic import context\n\nfrom dbkit import gate\n\ngate.install(context)\n",
    "the function": b"from alembic import context\nfrom dbkit.gate import install\ninstall(context)\n",
    "the package": b"from alembic import context\nimport dbkit.gate\ndbkit.gate.install(context)\n",
    "another name": b"from alembic import context\nimport dbkit.gate as g\ng.install(context)\n",
    "run": b"from alembic import context\nfrom dbkit import gate\ngate.run(context, root=1, load_metadata=2)\n",
    "by the package": b"from alembic import context\nimport dbkit\ndbkit.gate.install(context)\n",
    "in try": b"from alembic import context\ntry:\n    from dbkit import gate\n    gate.install(context)\nfinally:\n    pass\n",
}


def texts(name: str) -> tuple[bytes, bytes]:
    """Return a case's env.py without and with the gate."""
    lines = INSERTED[name].splitlines(keepends=True)
    before = "".join(line for line in lines if not line.startswith("+"))
    return before.encode(), "".join(line.removeprefix("+") for line in lines).encode()


def added(source: bytes) -> bytes:
    return add_gate(source, ROOT / "env.py", NONE)


@pytest.mark.parametrize("name", INSERTED)
def test_lines_are_inserted(name: str) -> None:
    before, after = texts(name)
    assert added(before).decode() == after.decode()


@pytest.mark.parametrize("name", INSERTED)
def test_a_second_time_nothing_changes(name: str) -> None:
    _, after = texts(name)
    assert added(after) == after


@pytest.mark.parametrize("name", INSERTED)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_newlines_and_marks_are_kept(name: str, newline: bytes, mark: bytes) -> None:
    before, after = (mark + text.replace(b"\n", newline) for text in texts(name))
    assert added(before) == after
    assert remove_gate(after, ROOT / "env.py", NONE) == before


@pytest.mark.parametrize("name", INSERTED)
def test_a_last_line_without_an_end_is_kept(name: str) -> None:
    before, after = (text.rstrip(b"\n") for text in texts(name))
    assert added(before) == after
    assert remove_gate(after, ROOT / "env.py", NONE) == before


def test_the_import_may_be_all_there_is() -> None:
    source = b"from alembic import context"
    assert added(source) == b"from alembic import context\nfrom dbkit import gate\n\ngate.install(context)"
    assert remove_gate(added(source), ROOT / "env.py", NONE) == source


def test_another_encoding_is_kept() -> None:
    source = "# coding: latin-1\nfrom alembic import context\n\nname = 'Ü'\n".encode("latin-1")
    assert added(source) == source.replace(b"context\n", b"context\nfrom dbkit import gate\n\ngate.install(context)\n")
    assert remove_gate(added(source), ROOT / "env.py", NONE) == source


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_edited_is_refused_with_the_lines(name: str) -> None:
    with pytest.raises(InputError) as caught:
        added(REFUSED[name])
    assert "env.py" in caught.value.message
    assert "gate.install(context)" in caught.value.hint


@pytest.mark.parametrize("name", KEPT)
def test_a_gate_that_is_there_is_kept(name: str) -> None:
    assert added(KEPT[name]) == KEPT[name]


def test_a_gate_that_was_put_in_by_hand_is_left() -> None:
    for source in KEPT.values():
        assert remove_gate(source, ROOT / "env.py", NONE) is None


@pytest.mark.parametrize("name", INSERTED)
def test_a_gate_is_taken_out_of_a_file_that_was_edited_elsewhere(name: str) -> None:
    before, after = (text + b"\nlast = 1\n" for text in texts(name))
    assert remove_gate(after, ROOT / "env.py", NONE) == before


def test_an_edited_gate_is_left() -> None:
    _, after = texts("template")
    for changed in (
        after.replace(b"install(context)", b"install(context)  # ours"),
        after.replace(b"\n\ngate.", b"\ngate."),
    ):
        assert remove_gate(changed, ROOT / "env.py", NONE) is None
        ast.parse(changed)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """The number of findings of ruff about imports in each file: those of all cases, before and after."""
    directory = tmp_path_factory.mktemp("ruff")
    for number, name in enumerate(INSERTED):
        for kind, text in zip(("before", "after"), texts(name), strict=True):
            (directory / f"{kind}_{number}.py").write_bytes(text)
    rules = ["--isolated", "--no-cache", "--select", "I,E402", "--output-format", "json"]
    command = [sys.executable, "-m", "ruff", "check", *rules, str(directory)]
    found = json.loads(subprocess.run(command, capture_output=True, check=False, cwd=directory).stdout)
    return Counter(Path(each["filename"]).stem for each in found)


@pytest.mark.parametrize("name", [name for name in INSERTED if name not in UNTIDY])
def test_a_linter_finds_no_more_than_before(name: str, findings: Counter[str]) -> None:
    number = list(INSERTED).index(name)
    assert findings[f"after_{number}"] <= findings[f"before_{number}"]


ENV = b"""\
from logging.config import fileConfig

from alembic import context
from sqlalchemy import pool

from shop import settings
from shop.models import Base

config = context.config
"""
# what makes `import shop.models` connect, or not: files of the project
CONNECTING = {
    "itself": {"shop/models.py": "Base.metadata.create_all(engine)"},
    "a module that it imports": {"shop/models.py": "from shop.db import x", "shop/db.py": "engine.connect()"},
    "a relative import": {"shop/models.py": "from .db import x", "shop/db.py": "with engine.begin() as c: pass"},
    "its sibling": {"shop/models/__init__.py": "from . import a", "shop/models/a.py": "Base.prepare(autoload_with=e)"},
    "its package": {"shop/models/__init__.py": "import app", "app.py": "def f():\n  psycopg.connect('')\nf()"},
    "in src": {"src/shop/models.py": "t = Table('t', m, autoload_with=engine)"},
}
CALM = {
    "a function": {"shop/models.py": "def f():\n    engine.connect()"},
    "a signal": {"shop/models.py": "before_request.connect(f)\nimport shop.models"},
    "a broken file": {"shop/models.py": "engine.connect("},
    "only for type checkers": {"shop/models.py": "if TYPE_CHECKING:\n    import shop.db", "shop/db.py": "e.connect()"},
}


def edit_with(files: dict[str, str], directory: Path) -> str:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    modules = ProjectModules((directory, directory / "src"))
    after = add_gate(ENV, ROOT / "env.py", modules)
    assert remove_gate(after, ROOT / "env.py", modules) == ENV
    return after.decode()


@pytest.mark.parametrize("name", CONNECTING)
def test_the_gate_comes_before_an_import_that_connects(name: str, tmp_path: Path) -> None:
    after = edit_with(CONNECTING[name], tmp_path)
    assert "from shop import settings\n\ngate.install(context)\nfrom shop.models" in after


@pytest.mark.parametrize("name", CALM)
def test_other_imports_come_before_the_gate(name: str, tmp_path: Path) -> None:
    assert "Base\n\ngate.install(context)\n" in edit_with(CALM[name], tmp_path)


def test_a_name_that_import_star_may_bring(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("gate = 1\n")
    modules = ProjectModules((tmp_path,))
    for module, name in (("shop", b"dbkit_gate.install(context)"), ("os", b"\ngate.install(context)")):
        source = f"from alembic import context\nfrom {module} import *\n".encode()
        assert name in add_gate(source, ROOT / "env.py", modules)


def test_a_dbkit_of_the_project_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "dbkit").mkdir()
    with pytest.raises(InputError, match="has a module dbkit"):
        add_gate(b"from alembic import context\n", ROOT / "env.py", ProjectModules((tmp_path,)))
