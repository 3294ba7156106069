"""The battery of `dbkit adopt`, settings files: alembic.ini of all generations, pyproject.toml, and others. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from support.adopt_project import BASE


@dataclass(frozen=True)
class SettingsFile:
    """One settings file, and what adopt must make of it."""

    name: str
    text: str | bytes
    file: str = "alembic.ini"
    expected: Literal["adopted", "refused", "either"] = "adopted"
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files of the project."""
    section: str = "alembic"
    scripts: str = "migrations"
    baseline: str | None = "b2b2b2b2b2b2"
    """What is the baseline afterwards."""
    hooks: tuple[str, ...] = ()
    """Hooks of the project that must have run for a new revision; each writes a file of its name."""
    runs: bool = True
    """Whether `alembic` can be run with it, without the program that it is for."""
    removes: tuple[str, ...] = ()
    """Files of every project that this one does not have."""

    @property
    def content(self) -> bytes:
        """Return the file."""
        return self.text if isinstance(self.text, bytes) else self.text.encode()


S = SettingsFile
PLAIN = "[alembic]\nscript_location = migrations\nprepend_sys_path = .\n"
LOGGING = """\
# Logging configuration
[loggers]
keys = root,sqlalchemy,alembic

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARN
handlers = console
qualname =

[logger_sqlalchemy]
level = WARN
handlers =
qualname = sqlalchemy.engine

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
datefmt = %H:%M:%S
"""
OF_1_0 = f"""\
# A generic, single database configuration.

[alembic]
# path to migration scripts
script_location = migrations

# template used to generate migration files
# file_template = %%(rev)s_%%(slug)s

# timezone to use when rendering the date
# within the migration file as well as the filename.
# timezone =

# max length of characters to apply to the
# "slug" field
#truncate_slug_length = 40

# sourceless = false

# output_encoding = utf-8

sqlalchemy.url = driver://user:pass@localhost/dbname


{LOGGING}"""
HOOKS_1_4 = """\
[post_write_hooks]
# post_write_hooks defines scripts or Python functions that are run
# on newly generated revision scripts.  See the documentation for further
# detail and examples

# format using "black" - use the console_scripts runner, against the "black" entrypoint
# hooks=black
# black.type=console_scripts
# black.entrypoint=black
# black.options=-l 79 REVISION_SCRIPT_FILENAME

"""
OF_1_8 = f"""\
# A generic, single database configuration.

[alembic]
script_location = migrations

# template used to generate migration file names; The default value is %%(rev)s_%%(slug)s
file_template = %%(year)d_%%(month).2d_%%(day).2d_%%(hour).2d%%(minute).2d-%%(rev)s_%%(slug)s

# sys.path path, will be prepended to sys.path if present.
# defaults to the current working directory.
prepend_sys_path = .

# version location specification; This defaults
# to migrations/versions.  When using multiple version
# directories, initial revisions must be specified with --version-path.
# version_locations = %(here)s/bar:%(here)s/bat:migrations/versions

# version_path_separator = :
# version_path_separator = ;
version_path_separator = os  # Use os.pathsep. Default configuration used for new projects.

sqlalchemy.url = driver://user:pass@localhost/dbname


{HOOKS_1_4}{LOGGING}"""
# A hook that writes a file beside the settings file
WRITER = "import sys, pathlib; pathlib.Path(sys.argv[1] + '.ran').write_text(sys.argv[2])"
WRITERS = {"writer.py": f"{WRITER}\n"}


def hook(name: str, equals: str = " = ") -> str:
    """Return the keys of a hook of the project."""
    return (
        f"{name}.type{equals}exec\n{name}.executable{equals}python3\n"
        f"{name}.options{equals}writer.py {name} REVISION_SCRIPT_FILENAME\n"
    )


def hooked(line: str, *names: str, equals: str = " = ") -> str:
    """Return an ini with hooks in this line."""
    return f"{PLAIN}\n[post_write_hooks]\n{line}\n" + "".join(hook(name, equals) for name in names)


OURS = (
    "hooks = head\nhead.type = module\nhead.module = dbkit.project.head_file\nhead.options = REVISION_SCRIPT_FILENAME\n"
)

INI = [
    S("1.0", OF_1_0),
    S("1.4", OF_1_0.replace(LOGGING, HOOKS_1_4 + LOGGING)),
    S("1.8", OF_1_8),
    S("1.8, CRLF", OF_1_8.replace("\n", "\r\n")),
    S("1.8, no newline at the end", OF_1_8.rstrip("\n")),
    S("1.8, many newlines at the end", OF_1_8 + "\n\n\n"),
    S("a byte-order mark", b"\xef\xbb\xbf" + OF_1_0.encode(), expected="either"),
    S("one key", "[alembic]\nscript_location = migrations\n"),
    S("one key, no newline at the end", "[alembic]\nscript_location = migrations"),
    S("one key, CRLF, no newline at the end", "[alembic]\r\nscript_location = migrations"),
    S("no spaces", "[alembic]\nscript_location=migrations\nprepend_sys_path=.\n"),
    S("colons", "[alembic]\nscript_location: migrations\nprepend_sys_path: .\n"),
    S(
        "semicolons, indentation and umlauts",
        "; für die Datenbank\n[alembic]\n  ; wo\nscript_location = migrations\n\n   # Ende\n",
    ),
    S("a header with more on its line", PLAIN.replace("[alembic]", "[alembic]   # ours\t")),
    S("here", PLAIN.replace("= migrations", "= %(here)s/migrations")),
    S(
        "another key in a value",
        "[DEFAULT]\nroot = migrations\nhooks_of = x\n\n" + PLAIN.replace("= migrations", "= %(root)s"),
    ),
    S(
        "a value of several lines at the end",
        "[alembic]\nscript_location = migrations\nversion_locations =\n    %(here)s/migrations/versions\n    %(here)s/migrations/more\npath_separator = newline",
        files={"migrations/more/.keep": ""},
    ),
    S(
        "a value of several lines at the end, indented comment",
        "[alembic]\nscript_location = migrations\nprepend_sys_path =\n    .\n    # no part of it\n",
    ),
    S(
        "a section of another tool at the end",
        PLAIN + "\n[flake8]\nmax-line-length = 100\nignore =\n    E501,\n    W503\n",
    ),
    S("[dbkit], empty", PLAIN + "\n[dbkit]\n"),
    S("[dbkit], empty, no newline at the end", PLAIN + "\n[dbkit]"),
    S(
        "[dbkit] with other keys",
        PLAIN + "\n[dbkit]\n# no journal there\njournal = off\nsmall_table = 500\n\n" + LOGGING,
    ),
    S("[dbkit] with a baseline", PLAIN + f"\n[dbkit]\nbaseline = {BASE}\n", baseline=BASE),
    S("[dbkit] with an empty baseline", PLAIN + "\n[dbkit]\nbaseline =\n", baseline=None),
    S("[dbkit] with a baseline in a comment", PLAIN + f"\n[dbkit]\n# baseline = {BASE}\n"),
    S("[dbkit] at the top", f"[dbkit]\njournal = on\n{PLAIN}"),
    S("[dbkit] with an unknown key", PLAIN + "\n[dbkit]\nbasline = x\n", expected="refused"),
    S("[dbkit] in a comment", PLAIN + "\n# [dbkit]\n# baseline = x\n"),
    S("hooks, commented out", PLAIN + "\n" + HOOKS_1_4),
    S("hooks, empty section at the end", PLAIN + "\n[post_write_hooks]"),
    S("hooks, an empty value", PLAIN + "\n[post_write_hooks]\nhooks =\n"),
    S("hooks, one", hooked("hooks = format", "format"), hooks=("format",), files=WRITERS),
    S("hooks, one, and logging", hooked("hooks = format", "format") + "\n" + LOGGING, hooks=("format",), files=WRITERS),
    S("hooks, no spaces", hooked("hooks=format", "format", equals="="), hooks=("format",), files=WRITERS),
    S("hooks, a colon", hooked("hooks: format", "format", equals=": "), hooks=("format",), files=WRITERS),
    S(
        "hooks, two with a comma",
        hooked("hooks = format, check", "format", "check"),
        hooks=("format", "check"),
        files=WRITERS,
    ),
    S(
        "hooks, two with a comma and no space",
        hooked("hooks = format,check", "format", "check"),
        hooks=("format", "check"),
        files=WRITERS,
    ),
    S(
        "hooks, two with a space",
        hooked("hooks = format check", "format", "check"),
        hooks=("format", "check"),
        files=WRITERS,
    ),
    S("hooks, a comma at the end", hooked("hooks = format,", "format"), hooks=("format",), files=WRITERS),
    S("hooks, spaces at the end", hooked("hooks = format   \t", "format"), hooks=("format",), files=WRITERS),
    S("hooks, in capitals", hooked("HOOKS = format", "format"), hooks=("format",), files=WRITERS),
    S(
        "hooks, after their options",
        f"{PLAIN}\n[post_write_hooks]\n{hook('format')}hooks = format",
        hooks=("format",),
        files=WRITERS,
    ),
    S("hooks, CRLF", hooked("hooks = format", "format").replace("\n", "\r\n"), hooks=("format",), files=WRITERS),
    S(
        "hooks, the first section",
        hooked("hooks = format", "format").replace(PLAIN, "") + f"\n{PLAIN}",
        hooks=("format",),
        files=WRITERS,
    ),
    S("hooks, one of our name", hooked("hooks = head", "head"), hooks=("head",), files=WRITERS),
    S(
        "hooks, keys of our name that are unused",
        hooked("hooks = format", "format", "head"),
        hooks=("format",),
        files=WRITERS,
    ),
    S("hooks, ours by hand", f"{PLAIN}\n[post_write_hooks]\n{OURS}"),
    S(
        "hooks, ours by hand, and another",
        f"{PLAIN}\n[post_write_hooks]\n{OURS.replace('= head', '= format, head', 1)}{hook('format')}",
        hooks=("format",),
        files=WRITERS,
    ),
    S(
        "two sections",
        "[one]\nscript_location = one\n\n[two]\nscript_location = migrations\n\n[alembic]\nscript_location = one\n",
        section="two",
    ),
    S("two sections, the last one", "[one]\nscript_location = one\n[two]\nscript_location = migrations", section="two"),
    S(
        "setup.cfg",
        f"[metadata]\nname = shop\n\n{PLAIN}\n[tool:pytest]\naddopts = -q\n",
        file="setup.cfg",
        removes=("alembic.ini",),
    ),
    S("another name", PLAIN, file="conf/migrations.ini", removes=("alembic.ini",), files={}, expected="either"),
    S(
        "another name, with here",
        PLAIN.replace("= migrations", "= %(here)s/../migrations"),
        file="conf/migrations.conf",
        removes=("alembic.ini",),
    ),
    S(
        "a place in a package",
        "[alembic]\nscript_location = shop:migrations\nprepend_sys_path = .\n",
        scripts="shop/migrations",
        files={"shop/__init__.py": "", "shop/migrations/__init__.py": ""},
    ),
    S("a key twice", PLAIN + "script_location = migrations\n", expected="refused"),
    S("a section twice", PLAIN + PLAIN, expected="refused"),
    S("no section", "script_location = migrations\n", expected="refused"),
    S("no place", "[alembic]\nsqlalchemy.url = x\n", expected="refused"),
    S("a place that is not there", "[alembic]\nscript_location = nowhere\n", expected="refused"),
    S(
        "a package that cannot be imported",
        "[alembic]\nscript_location = not_installed_here:migrations\n",
        expected="refused",
    ),
    S(
        "the place in a container, beside env.py",
        "[alembic]\nscript_location = /usr/src/none/migrations\n",
        file="migrations/alembic.ini",
        removes=("alembic.ini",),
        runs=False,
    ),
    S(
        "the place from another directory, beside env.py",
        "[alembic]\nscript_location = src/none/migrations\nprepend_sys_path = src:.\n",
        file="migrations/alembic.ini",
        removes=("alembic.ini",),
        runs=False,
    ),
    S("only other sections", "[alembic]\n\n[core]\nscript_location = migrations\n", expected="refused"),
    S("a lone %", PLAIN + "sqlalchemy.url = postgresql://u:p%40@h/db\n", expected="either"),
    S("latin-1", "# für\n".encode("latin-1") + PLAIN.encode(), expected="either"),
]
TOML = '[tool.alembic]\nscript_location = "migrations"\nprepend_sys_path = ["."]\n'
PROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["alembic"]\n'
TOML_HOOK = (
    'name = "format"\ntype = "exec"\nexecutable = "python3"\noptions = "writer.py format REVISION_SCRIPT_FILENAME"\n'
)
TOML_OURS = 'name = "head"\ntype = "module"\nmodule = "dbkit.project.head_file"\noptions = "REVISION_SCRIPT_FILENAME"\n'


def toml(
    name: str, text: str | bytes, *, alone: bool = True, expected: Literal["adopted", "refused", "either"] = "adopted",
    files: Mapping[str, str] = {}, baseline: str = "b2b2b2b2b2b2", hooks: tuple[str, ...] = (),
) -> SettingsFile:  # fmt: skip
    """Return a case of a pyproject.toml; `alone`: there is no alembic.ini."""
    removed = ("alembic.ini",) if alone else ()
    return S(f"toml, {name}", text, "pyproject.toml", expected, files, baseline=baseline, hooks=hooks, removes=removed)


TOMLS = [
    toml("the section alone", TOML),
    toml(
        "between others",
        f"{PROJECT}\n{TOML}\n[tool.ruff]\nline-length = 100\n\n[tool.ruff.lint]\nselect = [\n  'E',\n  'F',\n]\n",
    ),
    toml("CRLF", f"{PROJECT}\n{TOML}".replace("\n", "\r\n")),
    toml("no newline at the end", f"{PROJECT}\n{TOML}".rstrip("\n")),
    toml("a comment at the end", f"{PROJECT}\n{TOML}# the end"),
    toml("a byte-order mark", b"\xef\xbb\xbf" + TOML.encode(), expected="either"),
    toml("umlauts and comments", f"# für uns\n{PROJECT.replace('shop', 'Läden')}\n{TOML}"),
    toml(
        "tables of hooks", f"{TOML}\n[[tool.alembic.post_write_hooks]]\n{TOML_HOOK}", hooks=("format",), files=WRITERS
    ),
    toml(
        "tables of hooks, then others",
        f"{TOML}\n[[tool.alembic.post_write_hooks]]\n{TOML_HOOK}\n[tool.black]\nline-length = 99\n",
        hooks=("format",),
        files=WRITERS,
    ),
    toml(
        "hooks in an array",
        f"{TOML}post_write_hooks = [\n  {{{TOML_HOOK.strip().replace(chr(10), ', ')}}},\n]\n",
        expected="either",
        hooks=("format",),
        files=WRITERS,
    ),
    toml("no hooks in an array", f"{TOML}post_write_hooks = []\n", expected="either"),
    toml("ours by hand", f"{TOML}\n[[tool.alembic.post_write_hooks]]\n{TOML_OURS}"),
    toml(
        "a hook of our name",
        f"{TOML}\n[[tool.alembic.post_write_hooks]]\n{TOML_HOOK.replace('format', 'head')}",
        hooks=("head",),
        files=WRITERS,
    ),
    toml(
        "dotted keys in [tool]",
        '[tool]\nalembic.script_location = "migrations"\nblack.line-length = 99\n',
        expected="either",
    ),
    toml(
        "dotted keys at the top",
        'tool.alembic.script_location = "migrations"\n\n[project]\nname = "shop"\n',
        expected="either",
    ),
    toml("an inline table", '[tool]\nalembic = {script_location = "migrations"}\n', expected="either"),
    toml("quotes in the header", '[tool."alembic"]\n"script_location" = \'migrations\'\n'),
    toml("spaces in the header", '[ tool . alembic ] # here\nscript_location = "migrations"\n'),
    toml("[tool.dbkit], empty", f"{TOML}\n[tool.dbkit]\n"),
    toml("[tool.dbkit] with keys", f"[tool.dbkit]\njournal = false\nsmall_table = 500\n\n{TOML}"),
    toml("[tool.dbkit] with a baseline", f'{TOML}\n[tool.dbkit]\nbaseline = "{BASE}"\n', baseline=BASE),
    toml("[tool.dbkit] with a baseline, quoted key", f'{TOML}\n[tool."dbkit"]\n"baseline" = "{BASE}"\n', baseline=BASE),
    toml("dbkit as a dotted key", f"[tool]\ndbkit.journal = false\n\n{TOML}", expected="either"),
    toml(
        "headers in texts",
        f'{PROJECT}description = """\n[tool.dbkit]\nbaseline = "x"\n[[tool.alembic.post_write_hooks]]\n"""\n\n{TOML}',
        expected="either",
    ),
    toml("headers in comments", f"{PROJECT}\n# [tool.dbkit]\n# [tool.alembic]\n{TOML}"),
    toml("here", TOML.replace('"migrations"', '"%(here)s/migrations"')),
    toml(
        "arrays",
        TOML + 'version_locations = [\n  "%(here)s/migrations/versions", # ours\n  "%(here)s/migrations/more",\n]\n',
        files={"migrations/more/.keep": ""},
    ),
    toml(
        "with an alembic.ini for the URL",
        TOML,
        alone=False,
        files={"alembic.ini": f"[alembic]\nsqlalchemy.url = driver://user:pass@localhost/dbname\n\n{LOGGING}"},
    ),
    toml("without [tool.alembic]", PROJECT, expected="refused"),
    toml("broken", f"{TOML}script_location = \n", expected="refused"),
    toml("a key twice", f'{TOML}script_location = "b"\n', expected="refused"),
]
SETTINGS = [*INI, *TOMLS]
