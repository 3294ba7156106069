"""The pages about the projects of other teams: their transcripts are typed again, in a project of that kind.

With WRITE_PAGES=1 the pages get what is printed now.
"""

import importlib.util
import os
import re
import subprocess

import pytest

from support import foreign_frameworks, foreign_shapes, transcripts
from support.foreign_shapes import Place, Shape
from support.kit import REPOSITORY

PAGES = REPOSITORY / "docs/projects"
SHAPES: dict[str, Shape] = {
    "psycopg2.md": foreign_shapes.psycopg2,
    "fastapi-async.md": foreign_shapes.asynchronous,
    "flask-migrate.md": foreign_frameworks.flask,
    "sqlmodel.md": foreign_frameworks.sqlmodel,
    "uv-poetry.md": foreign_frameworks.pyproject,
    "multidb.md": foreign_shapes.multidb,
    "tenants.md": foreign_shapes.tenant,
}
NEEDS = {"flask-migrate.md": "flask_migrate", "sqlmodel.md": "sqlmodel"}
"""What a page's project imports."""
IGNORED = "__pycache__/\n.dbkit/\n"


def test_each_page_has_its_project() -> None:
    assert {page.name for page in PAGES.glob("*.md")} == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_page_shows_is_printed(name: str, place: Place) -> None:
    if not importlib.util.find_spec(NEEDS.get(name, "sys")):
        pytest.skip(f"{NEEDS[name]} is not installed; nox -s foreign has it")
    page = PAGES / name
    text = page.read_text(encoding="utf-8")
    project = SHAPES[name](place, gated=False)
    (project.root / ".gitignore").write_text(IGNORED)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=ours"]):
        author = ["-c", "user.name=Team", "-c", "user.email=team@example.org"]
        subprocess.run(["git", *author, *words], cwd=project.root, check=True)
    names = {
        str(project.root): "/path/to/project",
        str(place.server.target().host): "/run/postgresql",
        place.name: "app",
    }
    for block in transcripts.CONSOLE.findall(text):
        real = transcripts.run(transcripts.typed(block), project.root, project.variables(), names)
        if os.environ.get("WRITE_PAGES"):
            text = text.replace(block, shorten(block, real))
        else:
            assert transcripts.matches(block, real), real
    if os.environ.get("WRITE_PAGES"):
        page.write_text(text, encoding="utf-8")


def shorten(block: str, real: str) -> str:
    """Return what is printed, with as many lines left out of each command's output as in the page."""
    former, new = (re.split(r"(?m)^(?=\$ )", text)[1:] for text in (block, real))
    return "".join(_shorten(*pair) for pair in zip(former, new, strict=True))


def _shorten(former: str, new: str) -> str:
    before, left_out, after = former.partition(f"\n{transcripts.ANY_LINES}\n")
    lines = new.splitlines(keepends=True)
    if not left_out:
        return new
    first, last = before.count("\n") + 1, after.count("\n")
    return "".join([*lines[:first], f"{transcripts.ANY_LINES}\n", *lines[len(lines) - last :]])
