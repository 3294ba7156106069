"""The Config of a library that runs Alembic itself, where env.py needs it: advanced-alchemy, alone or in Litestar.

Its env.py reads `config.db_url`, `config.engine` and others from a subclass of Alembic's Config, which the library
makes of an object of the project. `[dbkit] config` names that object; otherwise it is looked for in the project.
"""

import ast
import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from importlib.util import find_spec
from inspect import isfunction
from io import StringIO
from pathlib import Path
from typing import Any

from alembic.config import Config

from dbkit.errors import InputError, describe_error
from dbkit.project import alembic_features, env_file
from dbkit.redaction import redact

NEEDS = re.compile(rb"\bconfig\.(?:db_url|bind_key|engine|version_table_name)\b")
CLASSES = ("SQLAlchemyAsyncConfig", "SQLAlchemySyncConfig")
SKIPPED = {"node_modules", "site-packages", "__pycache__", "tests"}
SCRIPT_LOCATION = "script_location"
HOW_TO_NAME = """\
Name the object that the library's commands are given, in the settings file:
    [dbkit]
    config = package.module:alchemy_config"""


def needs_library(script_directory: Path) -> bool:
    """Whether env.py needs the Config of advanced-alchemy."""
    try:
        source = env_file.find_env_file(script_directory).read_bytes()
    except (InputError, OSError):
        return False
    return b"advanced_alchemy" in source and NEEDS.search(source) is not None


def make_config(named: str | None, config: Config, directory: Path) -> Config:
    """Return the library's Config, from the object that is `named` or found, for the project of `config`.

    `directory` is that of the settings file. Raises InputError where none is found, or its module cannot be imported.
    """
    location = Path(alembic_features.option_of(config, SCRIPT_LOCATION) or "").resolve()
    roots = _roots(config, directory.resolve(), (location / "env.py").read_bytes() if location.is_dir() else b"")
    sys.path += [str(root) for root in roots if str(root) not in sys.path]
    if named:
        return _choose(_objects(_load(named)), location, directory, is_named=True)
    top = Path.cwd() if directory.resolve().is_relative_to(Path.cwd()) else directory
    found = [each for name in _search(roots, top, location) for each in _objects(_load(name))]
    return _choose(found or _objects_of_litestar(), location, directory)


def _choose(found: Iterable[Any], location: Path, directory: Path, *, is_named: bool = False) -> Config:
    """Return the Config of the one object whose migrations are in this place; of a named list, of the first."""
    made = [_build(each) for each in {id(each): each for each in found}.values()]
    fitting = [each for each in made if _location(each) == location] or (made if is_named else [])
    if len(fitting) == 1 or (fitting and is_named):
        redact.learn_variables({"url": str(getattr(fitting[0], "db_url", ""))})
        return fitting[0]
    several = f"{len(fitting)} configurations of advanced-alchemy for it were found"
    reason = several if fitting else f"the configuration of advanced-alchemy was not found in {directory}"
    raise InputError(f"env.py needs the library's own Config, and {reason}.", HOW_TO_NAME)


def _roots(config: Config, directory: Path, env: bytes) -> list[Path]:
    """Return the directories that the project's modules are imported from; `env` is the source of env.py."""
    paths = alembic_features.option_of(config, "prepend_sys_path") or "."
    named = [Path.cwd() / each for each in re.split(r"[:;,\s]+", paths) if each]
    found = [*named, *(top / below for top in (directory, Path.cwd()) for below in ("", "src"))]
    existing = [path.resolve() for path in found if path.is_dir()]
    return list(dict.fromkeys(path.parent if _is_package(path, env) else path for path in existing))


def _is_package(path: Path, env: bytes) -> bool:
    """Whether modules are imported by the name of this directory: `from src.app import …`."""
    pattern = rf"^\s*(?:from|import) {re.escape(path.name)}\b".encode()
    return (path / "__init__.py").exists() or re.search(pattern, env, re.MULTILINE) is not None


def _search(roots: list[Path], directory: Path, script_directory: Path) -> Iterator[str]:
    """Yield package.module:name for each of the library's configurations that a module assigns to a name."""
    for path in _modules(directory, script_directory):
        source = path.read_bytes()
        if not any(name.encode() in source for name in CLASSES):
            continue
        above = [root for root in roots if path.is_relative_to(root)]
        if not above:
            continue
        root = max(above, key=lambda each: len(each.parts))
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for name in _assigned(source):
            yield f"{module}:{name}"


def _modules(directory: Path, script_directory: Path) -> Iterator[Path]:
    for top, directories, files in os.walk(directory.resolve()):
        here = Path(top)
        directories[:] = sorted(
            each
            for each in directories
            if not (each.startswith(".") or each in SKIPPED or (here / each / "pyvenv.cfg").exists())
            and here / each != script_directory
        )
        yield from (here / name for name in sorted(files) if name.endswith(".py"))


def _assigned(source: bytes) -> Iterator[str]:
    """Yield the names that a module assigns a new configuration to."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in CLASSES:
            yield from (each.id for each in targets if isinstance(each, ast.Name))


def _load(name: str) -> Any:
    """Import the object that package.module:name, or package.module.name, names."""
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # it is the project's code
        raise InputError(
            f"env.py needs {name}, and that cannot be loaded: {type(error).__name__}: {describe_error(error)}",
            HOW_TO_NAME,
        ) from error


def _objects(found: Any) -> list[Any]:
    """Return the objects in what a name means: one, several, or what a function makes."""
    if isfunction(found):
        return _objects(found())
    if hasattr(found, "plugins"):
        return [each for plugin in found.plugins for each in _objects_of_plugin(plugin)]
    return list(found) if isinstance(found, list | tuple) else [found]


def _objects_of_litestar() -> list[Any]:
    """Return the configurations of the application that `litestar` finds (LITESTAR_APP, app.py)."""
    if not find_spec("litestar"):
        return []
    try:
        with redirect_stdout(StringIO()):  # it prints which one it has found
            application = importlib.import_module("litestar.cli._utils").LitestarEnv.from_env(None).app
    except (Exception, SystemExit) as error:  # it imports the project's code
        raise InputError(
            f"env.py needs the Litestar application, and that cannot be loaded: {describe_error(error)}",
            f"Set LITESTAR_APP, as `litestar database upgrade` needs it, or:\n{HOW_TO_NAME}",
        ) from error
    return _objects(application)


def _objects_of_plugin(plugin: Any) -> list[Any]:
    given = getattr(plugin, "config", None)
    several = given if isinstance(given, list | tuple) else [given]
    return [each for each in several if hasattr(each, "alembic_config")]


def _build(found: Any) -> Config:
    """Return the Config that the library makes of a configuration; one that is a Config already, as it is."""
    if isinstance(found, Config):
        return found
    if not hasattr(found, "alembic_config"):
        raise InputError(f"of a {type(found).__name__}, no Config of Alembic can be made.", HOW_TO_NAME)
    # a dependency of such a project, not of dbkit
    commands: Any = importlib.import_module("advanced_alchemy.alembic.commands")
    made: Config = commands.AlembicCommands(found).config
    return made


def _location(made: Config) -> Path:
    return Path(alembic_features.option_of(made, SCRIPT_LOCATION) or "").resolve()
