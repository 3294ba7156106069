"""The gate in env.py files that are put together at random, from statements as they are found in real ones."""

import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from dbkit.adoption.env_edit import add_gate, remove_gate
from dbkit.adoption.project_modules import ProjectModules
from dbkit.errors import InputError

FILES = 150
BEFORE = [
    "import os\nimport sys",
    "import os, sys; sys.path.insert(0, os.getcwd())",
    "import logging.config",
    "from pathlib import Path\n\nROOT = Path(__file__).parent  # the top",
    "sys_path = [\n    'src',\n    'lib',\n]",
    "TEXT = '''\nfrom alembic import context\ncontext.configure()\n'''",
    "# from alembic import context\n#\n# gate.install(context)",
    "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None",
    "def helper(*, gate=None):\n    return gate",
    "class Settings:\n    url = 'x'\n\n    def get(self):\n        return self.url",
    "if True:\n    ready = 1\nelse:\n    import nothing",
    "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from alembic import context\n    from alembic.config import Config",
    "import contextlib\n\nwith contextlib.suppress(ImportError):\n    import nothing",
    "x = 1; y = 2",
    "\x0c\nfrom logging import getLogger\n\nlogger = getLogger(__name__)",
    "NAME = 'Größe \u2028'",
    "from sqlalchemy import (\n    pool,  # (\n    create_engine,\n)",
    "for each in ('a', 'b'):\n    os_name = each",
    "assert 1 == 1, \\\n    'it does'",
    "context = {}",
    "@staticmethod\ndef decorated():\n    pass",
]
CONTEXTS = {
    "from alembic import context": "context",
    "from alembic import context  # noqa: E402": "context",
    "from alembic import op, context": "context",
    "from alembic import (\n    context,\n    op,\n)": "context",
    "from alembic import context as ctx": "ctx",
    "import alembic.context as alembic_context": "alembic_context",
    "import alembic": "alembic.context",
    "import alembic.context": "alembic.context",
    "from alembic \\\n    import context": "context",
    "try:\n    from alembic import context\nexcept ImportError:\n    raise": "context",
    "if True:\n    from alembic import context": "context",
    "import io; from alembic import context; import csv": "context",
    "import contextlib\n\nwith contextlib.nullcontext():\n    from alembic import context\n    later = 1": "context",
}
AFTER = [
    "import json",
    "from sqlalchemy import pool",
    "from decimal import (\n    Decimal,\n)",
    "# the models",
    "import xml.dom.minidom  # isort:skip",
    "try:\n    import yaml\nexcept ImportError:\n    yaml = None",
    "if TYPE := False:\n    import nothing",
    "import base64 as b64, zlib",
]
MIDDLE = [
    "config = {context}.config",
    "if {context}.config:\n    configured = True",
    "gate = 'open'",
    "def include_object(object, name, *rest):\n    return name != 'gate'",
    "def offline():\n    {context}.configure(url='x')",
    "target_metadata = None",
    "arguments = {context}.get_x_argument()",
    '"""A text\n\nimport os\n"""',
    "lambda: {context}.configure()",
]
END = [
    "{context}.configure()",
    "def run():\n    {context}.configure()\n\n\nrun()",
    "if {context}.is_offline_mode():\n    {context}.configure(url='x')\nelse:\n    {context}.configure()",
    "with {context}.begin() as connection:\n    {context}.configure(connection=connection)",
    "import asyncio\n\n\nasync def run():\n    {context}.configure()\n\n\nasyncio.run(run())",
    "class Runner:\n    def __call__(self):\n        {context}.configure()\n\n\nRunner()()",
]


def compose(choose: random.Random) -> bytes:
    """Return an env.py."""
    imported, context = choose.choice(list(CONTEXTS.items()))
    parts = ["import os\nimport sys", *choose.sample(BEFORE, choose.randint(0, 4)), imported]
    parts += choose.sample(AFTER, choose.randint(0, 3))
    parts += [
        part.format(context=context) for part in (*choose.sample(MIDDLE, choose.randint(0, 3)), choose.choice(END))
    ]
    if choose.random() < 0.3:
        parts = ['"""The environment."""', "from __future__ import annotations", *parts]
    if choose.random() < 0.3:
        parts = ["#!/usr/bin/env python\n# -*- coding: utf-8 -*-", *parts]
    text = "".join(part + choose.choice(["\n", "\n", "\n\n", "\n\n\n"]) for part in parts)
    if choose.random() < 0.2:
        text = text.replace("    ", "\t")
    if choose.random() < 0.2:
        text = text.rstrip("\n")
    source = text.replace("\n", choose.choice(["\n", "\n", "\r\n"])).encode()
    return (b"\xef\xbb\xbf" if choose.random() < 0.1 else b"") + source


class Context(ModuleType):
    """Alembic's context, which records when it is configured."""

    def __init__(self, events: list[str]) -> None:
        super().__init__("alembic.context")
        self.events = events
        self.config = SimpleNamespace(cmd_opts=None)

    def configure(self, **_options: object) -> None:
        self.events.append("configure")

    def is_offline_mode(self) -> bool:
        return False

    def get_x_argument(self) -> list[str]:
        return []

    def begin(self) -> "Context":
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def run(source: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Execute an env.py with modules of ours in the place of Alembic and the gate. Returns what happened."""
    events: list[str] = []
    context = Context(events)

    def install(given: object) -> None:
        assert given is context
        events.append("gate")

    with monkeypatch.context() as patch:
        for name, attributes in {
            "alembic": {"context": context, "op": None},
            "dbkit": {"gate": SimpleNamespace(install=install)},
        }.items():
            module = ModuleType(name)
            vars(module).update(attributes)
            patch.setitem(sys.modules, name, module)
        patch.setitem(sys.modules, "alembic.context", context)
        patch.setattr(sys, "path", [*sys.path])
        exec(compile(source, "env.py", "exec", dont_inherit=True), {"__name__": "env_py", "__file__": __file__})  # noqa: S102
    return events


def test_random_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three lines at most come in, before anything is configured, a second time none, and they can be taken out."""
    choose = random.Random(18)  # noqa: S311
    modules = ProjectModules((tmp_path,))
    refused = 0
    for number in range(FILES):
        source = compose(choose)
        shown = f"{number}:\n{source.decode()}"
        assert run(source, monkeypatch) == ["configure"], shown
        try:
            after = add_gate(source, tmp_path / "env.py", modules)
        except InputError:
            refused += 1
            continue
        old, new = source.splitlines(keepends=True), after.splitlines(keepends=True)
        remaining = iter(new)
        assert all(line in remaining for line in old), shown
        assert 1 <= len(new) - len(old) <= 3, shown
        assert run(after, monkeypatch) == ["gate", "configure"], f"{shown}\nbecame:\n{after.decode()}"
        assert add_gate(after, tmp_path / "env.py", modules) == after, shown
        assert remove_gate(after, tmp_path / "env.py", modules) == source, shown
    assert refused == 0
