"""Projects as `dbkit adopt` finds them, and its parts put in and taken out."""

from collections.abc import Mapping
from pathlib import Path

from dbkit.adoption.change import Change
from dbkit.adoption.parts import PARTS
from dbkit.adoption.site import Site


def make_site(root: Path, files: Mapping[str, bytes | str] = {}, *, directory: str = ".", ci: str = "") -> Site:
    """Write files into a repository; its settings file is in `directory`."""
    for name, content in {f"{directory}/alembic.ini": "[alembic]\nscript_location = migrations\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    place = (root / directory).resolve()
    return Site(place / "alembic.ini", "alembic", place, place / "migrations", root.resolve(), ci=ci)


def contents(root: Path) -> dict[str, bytes]:
    """Return all files below a directory, by their paths."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def put_in(site: Site, part: str) -> list[Change]:
    """Write what is planned for a part."""
    return write(PARTS[part].plan(site))


def take_out(site: Site, part: str) -> list[Change]:
    """Write what is planned for its removal."""
    return write(PARTS[part].plan_undo(site))


def write(changes: list[Change]) -> list[Change]:
    """Write what is planned."""
    for each in changes:
        if each.after is None:
            each.path.unlink()
        elif each.after != each.before:
            each.path.parent.mkdir(parents=True, exist_ok=True)
            each.path.write_bytes(each.after)
    return changes


def words(changes: list[Change]) -> list[str]:
    """Return what is printed of each change."""
    return [
        "left" if each.left else "kept" if each.after == each.before else "removed" if each.after is None else "changed"
        for each in changes
    ]
