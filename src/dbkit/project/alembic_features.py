"""The features that older releases of Alembic do not have: one function for each."""

import inspect
from pathlib import Path
from typing import Any

import alembic
from alembic.config import Config
from alembic.script import ScriptDirectory

from dbkit.errors import InputError

READS_TOML = "toml_file" in inspect.signature(Config.__init__).parameters
"""Whether Alembic reads settings from pyproject.toml, since 1.16."""


def open_config(ini: Path, section: str) -> Config:
    """Return Alembic's Config for a settings file, together with an alembic.ini or pyproject.toml beside it.

    Raises InputError for a pyproject.toml that this release does not read.
    """
    is_toml = ini.name == "pyproject.toml"
    if not READS_TOML:
        if is_toml:
            raise InputError(
                f"Alembic {alembic.__version__} does not read pyproject.toml: 1.16 and newer do.",
                "Name the project's alembic.ini, or install a newer release: pip install 'alembic>=1.16'",
            )
        return Config(str(ini), ini_section=section)
    beside = ini.with_name("alembic.ini" if is_toml else "pyproject.toml")
    found = str(beside) if beside.exists() else None
    given, toml = (found, str(ini)) if is_toml else (str(ini), found)
    options: dict[str, Any] = {"toml_file": toml} if toml else {}
    return Config(given, ini_section=section, **options)


def option_of(config: Config, name: str) -> str | None:
    """Return one of Alembic's own options, such as script_location, from whichever file has it."""
    if READS_TOML:
        return config.get_alembic_option(name)
    return config.get_main_option(name)


def runs_env_for_new_files(config: Config) -> bool:
    """Whether `alembic revision` runs env.py also without --autogenerate: the option revision_environment."""
    if READS_TOML:
        return config.get_alembic_boolean_option("revision_environment")
    given = config.get_main_option("revision_environment") or ""
    return given.strip().lower() in ("true", "yes", "on", "y", "t", "1")


def is_recursive(script: ScriptDirectory) -> bool:
    """Whether the directories below those of the revisions are searched, too: an option since 1.10."""
    return bool(getattr(script, "recursive_version_locations", False))
