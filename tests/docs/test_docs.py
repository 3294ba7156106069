"""What the documentation says is true: its commands run, and what it names exists."""

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbkit.cli import VERBS
from support.kit import REPOSITORY, Kit

PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((REPOSITORY / "docs").rglob("*.md")) + sorted((REPOSITORY / "src/dbkit/lint/pages").glob("*.md"))
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
SESSIONS = set(
    re.findall(r"^@nox\.session.*\n(?:@nox\..*\n)*def (\w+)", (REPOSITORY / "noxfile.py").read_text(), re.MULTILINE)
)
NOT_OURS = {
    "Ambiguous walk": "Alembic",
    "Can't locate revision identified by '…'": "Alembic",
    "Multiple head revisions are present for given argument 'head'": "Alembic",
    "Target database is not up to date.": "Alembic",
    "canceling statement due to lock timeout": "PostgreSQL",
    "permission denied for schema …": "PostgreSQL",
    "canceling statement due to statement timeout": "PostgreSQL",
    'extension "…" is not available': "PostgreSQL",
    "A value is required for bind parameter '…'": "SQLAlchemy",
}


def prose(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(page: Path) -> str:
    """The page's bash blocks that are not marked `skip`, in order, as one script."""
    blocks = re.findall(r"^( *)```bash\n(.*?)^\1```$", prose(page), re.MULTILINE | re.DOTALL)
    return "\n".join(re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks)


@pytest.fixture
def newcomer(kit: Kit, git: Callable[..., str]) -> Iterator[Kit]:
    """A clone with an empty database, in which everything is committed."""
    kit.set_database("template0")
    git(kit.path, "init", "--quiet")
    git(kit.path, "add", "--all")
    git(kit.path, "commit", "--quiet", "--message=clone")
    yield kit
    shutil.rmtree(kit.path / ".git")


def type_all(kit: Kit, page: str) -> None:
    """Type the commands of a page as they stand, from top to bottom, in one shell."""
    script = commands(REPOSITORY / page)
    assert not re.search(r"<[a-z_]+>", script), "a placeholder cannot be typed"
    # a command that reads standard input must not eat the rest of the script
    typed = kit.shell(f"{{\n{script}\n}} </dev/null")
    assert typed.returncode == 0, typed.stdout + typed.stderr


@pytest.mark.slow
def test_the_commands_of_the_guide_can_be_typed_and_undone(newcomer: Kit, git: Callable[..., str]) -> None:
    type_all(newcomer, "docs/migrations.md")
    assert git(newcomer.path, "status", "--porcelain") == "", "the example is not as it was"


def test_after_the_commands_of_the_readme_nothing_of_the_shop_is_left(newcomer: Kit, git: Callable[..., str]) -> None:
    type_all(newcomer, "README.md")
    left = git(newcomer.path, "ls-files", "--cached", "--others", "--exclude-standard", "backend", "alembic.ini")
    files = [newcomer.path / name for name in left.splitlines() if (newcomer.path / name).exists()]
    names = {
        str(file.relative_to(newcomer.path / "backend"))
        for file in files
        if file.is_relative_to(newcomer.path / "backend")
    }
    versions = {f"alembic/versions/{file.name}" for file in newcomer.versions}
    assert len(versions) == 1
    assert names - versions == {
        "alembic.ini",
        "alembic/HEAD",
        "alembic/env.py",
        "alembic/script.py.mako",
        "app/__init__.py",
        "app/models/__init__.py",
        "app/models/base.py",
        "app/models/notes.py",
        "schema.sql",
    }
    for file in files:
        assert not re.search(r"SHOP-|customer|order_|c96d09ae7993", file.read_text()), file
    tables = newcomer.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    assert tables == [("alembic_version",), ("dbkit_journal",), ("notes",)]
    assert not (newcomer.path / ".dbkit/stash").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_session_and_verb_that_is_named_exists(page: Path) -> None:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", prose(page), re.DOTALL))
    targets = {
        word for line in re.findall(r"\bmake(?: -[sC])?((?: [a-z][a-z-]*\b(?![=:/.]))+)", code) for word in line.split()
    }
    sessions = set(re.findall(r"\bnox -s (\w+)", code))
    verbs = set(re.findall(r"(?:-m dbkit|bin/dbkit|`dbkit) ([a-z][a-z-]*)", code))
    assert targets <= TARGETS
    assert sessions <= SESSIONS
    assert verbs <= VERBS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


def test_readme_has_the_targets_of_the_makefile() -> None:
    table = re.findall(r"^\| `make ([a-z-]+)` \|", prose(REPOSITORY / "README.md"), re.MULTILINE)
    assert len(table) == len(set(table))
    assert set(table) == TARGETS - {"help"}


def test_readme_says_of_a_target_what_make_says() -> None:
    shown = re.findall(r"^([a-z-]+):.*?## (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| `make ([a-z-]+)` \| (.+) \|$", prose(REPOSITORY / "README.md"), re.MULTILINE)
    assert [(name, text.replace("`", "")) for name, text in rows] == shown


def said(node: ast.expr) -> str | None:
    """A string literal with … for what is put into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) or "…" for part in node.values)
    return None


def messages() -> Iterator[str]:
    """Every string that the kit can print."""
    for path in (REPOSITORY / "src/dbkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.expr) and (text := said(node)):
                yield text
    yield from (REPOSITORY / "backend/alembic/script.py.mako").read_text().splitlines()
    for script in ("venv-setup.sh", "scripts/docker-entrypoint.sh"):
        yield from (REPOSITORY / script).read_text().splitlines()


def test_every_message_that_troubleshooting_explains_can_appear() -> None:
    headings = re.findall(r"^### `(.+)`$", prose(REPOSITORY / "docs/troubleshooting.md"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) >= NOT_OURS.keys()
    texts = list(messages())
    for heading in set(headings) - NOT_OURS.keys():
        fixed = re.compile(".*".join(re.escape(part) for part in heading.split("…")))
        assert any(fixed.search(text) for text in texts), heading
