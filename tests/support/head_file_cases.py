"""Projects for the battery of the head file: files as data, the revision that is added, and the heads after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HOOK = """\
[post_write_hooks]
hooks = head
head.type = {kind}
head.module = dbkit.project.head_file
head.entrypoint = dbkit-head
head.options = REVISION_SCRIPT_FILENAME
"""
TEMPLATE = '''\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    pass
'''
BODY = "\n\ndef upgrade():\n    pass\n"


@dataclass(frozen=True)
class Case:
    """A project to which `alembic revision` adds the revision `new`."""

    name: str
    files: Mapping[str, str | bytes]
    options: str = ""
    """Lines of the section of the settings file."""
    scripts: str = "migrations"
    """The script directory, and what script_location says where `location` does not."""
    location: str = "%(here)s/migrations"
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links, and their targets."""
    new: Mapping[str, object] = field(default_factory=dict)
    """Options of `alembic revision`."""
    heads: tuple[str, ...] = ("new",)
    settings: str = "alembic.ini"
    section: str = "alembic"
    ini: str = ""
    """The whole settings file, where it is not the usual one; {hook} is replaced."""
    template: str = TEMPLATE
    environment: str = ""
    """The content of env.py."""
    is_joined: bool = True
    """Whether there is nothing to merge: one head, or branches on purpose."""
    message: str = "add a thing"
    makes_bytecode: tuple[str, ...] = ()
    """Files that are replaced by their bytecode."""


def rev(revision: str, parent: object = None, doc: str | None = "", more: str = "") -> str:
    """Return a revision file."""
    text = "" if doc is None else f'"""{doc or f"make {revision}"}\n\nRevises: {parent}\n"""\n'
    return f"{text}revision = {revision!r}\ndown_revision = {parent!r}\n{more}{BODY}"


V = "migrations/versions"
ONE = {f"{V}/a1_x.py": rev("a1"), f"{V}/a2_x.py": rev("a2", "a1")}
SEVERAL = "path_separator = newline\nversion_path_separator = newline\nversion_locations =\n"
RECURSIVE = "recursive_version_locations = true\n"


def head(content: str | bytes, **more: object) -> dict[str, str | bytes]:
    """Return a project whose head `a2` is this file."""
    return {f"{V}/a1_x.py": rev("a1"), f"{V}/a2_x.py": content}


PLACES = [
    Case("plain", ONE),
    Case("no revisions yet", {f"{V}/README": ""}),
    Case("versions is a link", {"shared/own/a1.py": rev("a1")}, links={V: "../shared/own"}),
    Case("versions is a link to versions", {"shared/versions/a1.py": rev("a1")}, links={V: "../shared/versions"}),
    Case("the script directory is a link", {"db/real/versions/a1.py": rev("a1")}, links={"migrations": "db/real"}, environment="-"),
    Case("a revision file is a link", {**ONE, "elsewhere/a3.py": rev("a3", "a2")}, links={f"{V}/a3_x.py": "../../elsewhere/a3.py"}),
    Case("versions, given by name", ONE, f"version_locations = %(here)s/{V}\n"),
    Case("recursive", {f"{V}/2025/a1.py": rev("a1"), f"{V}/2026/02/a2.py": rev("a2", "a1")}, f"{RECURSIVE}file_template = %%(year)d/%%(month).2d/%%(rev)s\n"),
    Case("recursive, new file at the top", {f"{V}/2025/a1.py": rev("a1"), f"{V}/a2.py": rev("a2", "a1")}, RECURSIVE),
    Case("recursive, head below", {f"{V}/a1.py": rev("a1"), f"{V}/b/versions/b1.py": rev("b1", "a1")}, RECURSIVE, new={"head": "a1", "splice": True}, heads=("b1", "new"), is_joined=False),
    Case("not recursive, files below are not read", {**ONE, f"{V}/old/b1.py": rev("b1", "a1")}),
    Case("two locations", {**ONE, "more/b1.py": rev("b1", "a2")}, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/more\n"),
    Case("two locations, new file in the first", {**ONE, "more/b1.py": rev("b1", "a2")}, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/more\n", new={"version_path": V}),
    Case("two locations below the script directory", {"migrations/one/a1.py": rev("a1"), "migrations/two/b1.py": rev("b1", "a1")}, f"{SEVERAL}    %(here)s/migrations/one\n    %(here)s/migrations/two\n"),
    Case("locations by os", {**ONE, "more/b1.py": rev("b1", "a2")}, f"path_separator = os\nversion_path_separator = os\nversion_locations = %(here)s/{V}:%(here)s/more\n"),
    Case("locations by space", {**ONE, "more/b1.py": rev("b1", "a2")}, f"path_separator = space\nversion_path_separator = space\nversion_locations = {V} more\n"),
    Case("locations the old way", {**ONE, "more/b1.py": rev("b1", "a2")}, f"version_locations = {V}, more\n"),
    Case("one location outside", {"db/changes/a1.py": rev("a1")}, "version_locations = %(here)s/db/changes\n"),
    Case("locations outside", {"app/orders/a1.py": rev("a1"), "app/users/b1.py": rev("b1", "a1")}, f"{SEVERAL}    %(here)s/app/orders\n    %(here)s/app/users\n"),
    Case("recursive and several", {"app/o/x/a1.py": rev("a1"), "app/u/y/z/b1.py": rev("b1", "a1")}, f"{RECURSIVE}{SEVERAL}    %(here)s/app/o\n    %(here)s/app/u\n", new={"version_path": "app/u"}),
    Case("a location that is not there", ONE, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/none\n", new={"version_path": V}),
    Case("a location twice", ONE, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/again\n", links={"again": V}, new={"version_path": V}),
    Case("relative to the working directory", ONE, location="migrations"),
    Case("in a package", {"headless/__init__.py": "", "headless/db/versions/a1.py": rev("a1")}, "prepend_sys_path = .\n", scripts="headless/db", location="headless:db"),
    Case("pyproject.toml", ONE, settings="pyproject.toml", ini='[tool.alembic]\nscript_location = "%(here)s/migrations"\n\n[[tool.alembic.post_write_hooks]]\nname = "head"\ntype = "{kind}"\nmodule = "dbkit.project.head_file"\nentrypoint = "dbkit-head"\noptions = "REVISION_SCRIPT_FILENAME"\n'),
    Case("pyproject.toml, several locations", {**ONE, "more/b1.py": rev("b1", "a2")}, settings="pyproject.toml", ini='[tool.alembic]\nscript_location = "%(here)s/migrations"\nversion_locations = ["%(here)s/migrations/versions", "%(here)s/more"]\n\n[[tool.alembic.post_write_hooks]]\nname = "head"\ntype = "{kind}"\nmodule = "dbkit.project.head_file"\nentrypoint = "dbkit-head"\noptions = "REVISION_SCRIPT_FILENAME"\n'),
    Case("another section", {**ONE, "logs/versions/z1.py": rev("z1")}, section="logs", scripts="logs", ini="[alembic]\nscript_location = %(here)s/migrations\n[logs]\nscript_location = %(here)s/logs\n{hook}"),
    Case("another section with locations", {**ONE, "logs/env.py": "", "logs/x/z1.py": rev("z1"), "logs/y/z2.py": rev("z2", "z1")}, section="logs", scripts="logs", ini=f"[alembic]\nscript_location = %(here)s/migrations\n[logs]\nscript_location = %(here)s/logs\n{SEVERAL}    %(here)s/logs/x\n    %(here)s/logs/y\n{{hook}}"),
    Case("settings of another name", {**ONE, "more/b1.py": rev("b1", "a2")}, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/more\n", settings="database.cfg"),
    Case("settings in another directory", {**ONE, "more/b1.py": rev("b1", "a2")}, f"{SEVERAL}    {V}\n    more\n", settings="conf/db.ini", location="migrations"),
    Case("env.py beside the settings", {"migrations/versions/a1.py": rev("a1")}, settings="migrations/alembic.ini", location="%(here)s"),
    Case("a space and an umlaut in the place", {"dä ta/versions/a1.py": rev("a1")}, scripts="dä ta", location="%(here)s/dä ta"),
    Case("a broken settings file nearby", {**ONE, "more/b1.py": rev("b1", "a2"), "setup.ini": "[", "tox.ini": b"\xff"}, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/more\n"),
]  # fmt: skip

LABELS = 'branch_labels = "{}"\n'
GRAPHS = [
    Case("depends_on in the head", {f"{V}/a1.py": rev("a1"), f"{V}/b1.py": rev("b1", None, more=LABELS.format("b")), f"{V}/a2.py": rev("a2", "a1", more="depends_on = 'b1'\n")}, new={"head": "a2"}, heads=("b1", "new")),
    Case("a head that another depends on", {f"{V}/a1.py": rev("a1", more=LABELS.format("a")), f"{V}/b1.py": rev("b1", None, more=LABELS.format("b"))}, new={"head": "a1", "depends_on": "b1"}, heads=("b1", "new")),
    Case("depends_on a label", {f"{V}/a1.py": rev("a1", more=LABELS.format("a")), f"{V}/b1.py": rev("b1", None, more=LABELS.format("b"))}, new={"head": "a1", "depends_on": "b"}, heads=("b1", "new")),
    Case("depends_on an ancestor", ONE, new={"depends_on": "a1"}),
    Case("depends_on in older ones", {**ONE, f"{V}/a3.py": rev("a3", "a2", more="depends_on = ('a1',)\n")}),
    Case("two labelled bases", {f"{V}/a1.py": rev("a1", more=LABELS.format("a")), f"{V}/b1.py": rev("b1", more=LABELS.format("b"))}, new={"head": "a@head"}, heads=("b1", "new")),
    Case("a second base with a label", ONE, new={"head": "base", "branch_label": "other"}, heads=("a2", "new")),
    Case("a second base in its own directory", {**ONE, "more/README": ""}, f"{SEVERAL}    %(here)s/{V}\n    %(here)s/more\n", new={"head": "base", "branch_label": "other", "version_path": "more"}, heads=("a2", "new")),
    Case("a labelled branch from the middle", ONE, new={"head": "a1", "splice": True, "branch_label": "side"}, heads=("a2", "new")),
    Case("two labels on one", {f"{V}/a1.py": rev("a1", more="branch_labels = ('a', 'aa')\n")}),
    Case("a label below the fork", {f"{V}/a1.py": rev("a1", more=LABELS.format("a")), f"{V}/a2.py": rev("a2", "a1")}, new={"head": "a1", "splice": True}, heads=("a2", "new"), is_joined=False),
    Case("two bases without a label", ONE, new={"head": "base"}, heads=("a2", "new")),
    Case("a fork beside a base without a label", {**ONE, f"{V}/b1.py": rev("b1")}, new={"head": "a1", "splice": True}, heads=("a2", "b1", "new"), is_joined=False),
    Case("two bases that were merged, and a fork of it", {**ONE, f"{V}/b1.py": rev("b1"), f"{V}/c1.py": rev("c1", ("a2", "b1"))}, new={"head": "b1", "splice": True}, heads=("c1", "new"), is_joined=False),
    Case("two heads", ONE, new={"head": "a1", "splice": True}, heads=("a2", "new"), is_joined=False),
    Case("three heads", {**ONE, f"{V}/b1.py": rev("b1", "a1")}, new={"head": "a1", "splice": True}, heads=("a2", "b1", "new"), is_joined=False),
    Case("a fork beside a labelled branch", {**ONE, f"{V}/b1.py": rev("b1", more=LABELS.format("b"))}, new={"head": "a1", "splice": True}, heads=("a2", "b1", "new"), is_joined=False),
    Case("a merge", {**ONE, f"{V}/b1.py": rev("b1", "a1")}, new={"head": ("a2", "b1")}),
    Case("a merge of two bases", {**ONE, f"{V}/b1.py": rev("b1")}, new={"head": ("a2", "b1")}),
    Case("a merge below", {**ONE, f"{V}/b1.py": rev("b1", "a1"), f"{V}/c1.py": rev("c1", ("a2", "b1"))}),
]  # fmt: skip

COMPUTED = [
    ("annotated", 'from typing import Union\nrevision: str = "a2"\ndown_revision: Union[str, None] = "a1"\n'),
    ("an expression", 'revision = "a" + "2"\ndown_revision = "a" + "1"\n'),
    ("a tuple of one", 'revision = "a2"\ndown_revision = ("a1",)\n'),
    ("a list", 'revision = "a2"\ndown_revision = ["a1"]\n'),
    ("a tuple on lines", 'revision = "a2"\ndown_revision = (\n    "a1",  # the first\n)\n'),
    ("a variable", 'PARENT = "a1"\nrevision = "a2"\ndown_revision = PARENT\n'),
    ("a chain of targets", 'revision = slug = "a2"\ndown_revision = "a1"\n'),
    ("several targets", 'revision, down_revision = "a2", "a1"\n'),
    ("on one line", 'revision = "a2"; down_revision = "a1"\n'),
    ("a comment behind", 'revision = "a2"  # mine\ndown_revision = "a1"  # theirs\n'),
    ("one that is replaced later", 'revision = "a0"\ndown_revision = None\nrevision = "a2"\ndown_revision = "a1"\n'),
    ("a condition", 'revision = "a2"\ndown_revision = None\nif True:\n    down_revision = "a1"\n'),
    ("an import", "from string import digits as _d\nrevision = 'a' + _d[2]\nfrom json import *\ndown_revision = 'a1'\n"),
    ("adjacent strings", 'revision = "a" "2"\ndown_revision = \\\n    "a1"\n'),
    ("an escape", 'revision = "\\x612"\ndown_revision = "a\\x31"\n'),
    ("a local variable of the same name", 'revision = "a2"\ndown_revision = "a1"\ndef name():\n    revision = "zz"\n    down_revision = "yy"\n    return revision, down_revision\n'),
    ("in a docstring, too", '"""One\n\nrevision = "zz"\ndown_revision = "yy"\n"""\nrevision = "a2"\ndown_revision = "a1"\n'),
    ("in a string, too", 'TEXT = """\nrevision = "zz"\ndown_revision = "yy"\n"""\nrevision = "a2"\ndown_revision = "a1"\n'),
    ("set by a function", 'def begin():\n    global down_revision\n    down_revision = "a1"\nrevision = "a2"\ndown_revision = None\nbegin()\n'),
]  # fmt: skip
READING = [
    *(Case(f"ids: {name}", head(f'"""the head"""\n{text}{BODY}')) for name, text in COMPUTED),
    Case("ids: an empty tuple as parent", {f"{V}/a1.py": rev("a1", ())}),
    Case("ids: by the file's name", {f"{V}/ab12.py": f'"""old"""\ndown_revision = None{BODY}'}),
    Case("ids: not in the file's name", {f"{V}/first.py": rev("a1"), f"{V}/0002.py": rev("a2", "a1")}),
    Case("ids: with a dot and an umlaut", {f"{V}/a.py": rev("a_1.b/c"), f"{V}/b.py": rev("ü2", "a_1.b/c")}),
    Case("latin-1", head(f"# coding: latin-1\n{rev('a2', 'a1', 'größer')}".encode("latin-1"))),
    Case("latin-1, in Emacs' words", head(f"#!/usr/bin/python\n# -*- coding: iso-8859-15 -*-\n{rev('a2', 'a1', '5 €')}".encode("iso-8859-15"))),
    Case("latin-1 below", {f"{V}/a1.py": f"# coding: latin-1\n{rev('a1', None, 'größer')}".encode("latin-1"), f"{V}/a2.py": rev("a2", "a1")}),
    Case("a byte order mark", head(b"\xef\xbb\xbf" + rev("a2", "a1").encode())),
    Case("a byte order mark before revision", head(b"\xef\xbb\xbf" + rev("a2", "a1", None).encode())),
    Case("CRLF", head(rev("a2", "a1").replace("\n", "\r\n").encode())),
    Case("CR", head(rev("a2", "a1").replace("\n", "\r").encode())),
    Case("files that are not revisions", {**ONE, f"{V}/__init__.py": "x = ]", f"{V}/.#a2_x.py": "not Python", f"{V}/notes.txt": "", f"{V}/a3.py.orig": rev("a3", "a2"), f"{V}/a4.pyc": "", f"{V}/__pycache__/a5.py": rev("a5")}),
    Case("a file that imports the application", {"lib/app.py": "FIRST = 'a1'\n", f"{V}/a1.py": f'from app import FIRST\nrevision = FIRST\ndown_revision = None{BODY}'}, "prepend_sys_path = lib\n"),
    Case("a file that reads another", {**ONE, "migrations/parent": "a1", f"{V}/a2_x.py": f'from pathlib import Path\nrevision = "a2"\ndown_revision = Path(__file__).with_name("..").joinpath("parent").read_text()\n{BODY}'}),
    Case("sourceless, with sources", ONE, "sourceless = true\n"),
    Case("sourceless, bytecode beside", ONE, "sourceless = true\n", makes_bytecode=(f"{V}/a1_x.py", f"{V}/a2_x.py")),
    Case("sourceless, bytecode below", ONE, "sourceless = true\n", makes_bytecode=(f"{V}/a1_x.py",)),
]  # fmt: skip


def doc(quoted: str) -> dict[str, str | bytes]:
    """Return a project with a head `b1`, beside which `new` is added, with this docstring."""
    return {**ONE, f"{V}/b1.py": f"{quoted}\nrevision = 'b1'\ndown_revision = 'a1'\n{LABELS.format('b')}{BODY}"}


MESSAGES = [
    Case(f"docstring: {name}", doc(quoted), new={"head": "a2"}, heads=("b1", "new"))
    for name, quoted in [
        ("none", ""),
        ("only a comment", "# words"),
        ("one line", '"one line"'),
        ("single quotes", "'''in single quotes\n\nmore\n'''"),
        ("begins below", '"""\nbegins below\n\nmore\n"""'),
        ("with quotes", '"""say "hello" and \'bye\'"""'),
        ("ends with a quote", '"""say \\"hello\\""""'),
        ("escapes", '"""a\\tb \\u00fc \\\n and on"""'),
        ("raw", 'r"""C:\\new"""'),
        ("adjacent", '("in " "parts")'),
        ("bytes", 'b"""bytes"""'),
        ("an f-string", 'f"""one {1}"""'),
        ("empty", '""""""'),
        ("not the first statement", 'import os\n"""not a docstring"""'),
        ("text in other letters", '"""größer 漢字 🦊"""'),
        ("a form feed and a line separator", '"""one\x0ctwo\u2028three"""'),
        ("a carriage return", '"""one\\rtwo"""'),
        ("half a letter", '"""half \\ud83e of one"""'),
        ("quotes in a comment before", '# """not this"""\n"""this one"""'),
    ]
] + [
    Case("message with quotes", ONE, message='say "hello" it\'s'),
    Case("message in other letters", ONE, message="größer 漢字"),
    Case("message written in latin-1", ONE, "output_encoding = latin-1\nfile_template = %%(rev)s\n", template=f"#!python\n# coding: latin-1\n{TEMPLATE}", message="größer"),
    Case("empty message", ONE, message=""),
    Case("message of two lines", ONE, message="one\ntwo"),
]  # fmt: skip
CASES = [*PLACES, *GRAPHS, *READING, *MESSAGES]
