"""`[dbkit]` and the hook of the head file in alembic.ini and pyproject.toml: added, kept, and taken out again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.adoption.head_file_edit import add_hook, remove_hook
from dbkit.adoption.settings_edit import add_baseline, remove_baseline
from dbkit.adoption.settings_text import NotEditable

INI, TOML = Path("alembic.ini"), Path("pyproject.toml")
INI_HOOK = "head.type = module\nhead.module = dbkit.project.head_file\nhead.options = REVISION_SCRIPT_FILENAME\n"
# Files without a baseline and a hook
INIS = {
    "one section": "[alembic]\nscript_location = %(here)s/migrations\n",
    "with percents": "[alembic]\nscript_location = x\nfile_template = %%(rev)s_%%(slug)s\nsqlalchemy.url = postgresql://a:b%%40@c/d\n",
    "comments": "# first\n; second\n[alembic]\nscript_location = x  ; not a comment\n\n# last\n",
    "blank lines at the end": "[alembic]\nscript_location = x\n\n\n\n",
    "an empty section": "[alembic]\nscript_location = x\n[dbkit]\n[post_write_hooks]\n",
    "another key": "[dbkit]\nstrict = on\n\n[alembic]\nscript_location = x\n",
    "hooks": "[alembic]\nscript_location = x\n[post_write_hooks]\nhooks = black, ruff\nblack.type = console_scripts\nblack.entrypoint = black\nruff.type = exec\nruff.executable = ruff\n",
    "hooks with blanks": "[post_write_hooks]\nhooks = black ruff  \nblack.type = x\n\n[alembic]\nscript_location = x\n",
    "an empty value": "[post_write_hooks]\nhooks =\n\n[alembic]\nscript_location = x\n",
    "another hook of the name": "[post_write_hooks]\nhooks: head\nhead.type = exec\nhead.executable = head\n[alembic]\nscript_location = x\n",
    "an indented end": "[alembic]\nscript_location = x\nprepend_sys_path =\n    .\n    src\n    [dbkit]\n",
    "a commented section": "[alembic]\nscript_location = x\n#[dbkit]\n#baseline = x\n# [post_write_hooks]\n# hooks = black\n",
    "defaults": "[DEFAULT]\nname = x\n[alembic]\nscript_location = x\n",
    "not ASCII": "[alembic]\nscript_location = x\nname = Überstraße\n",
    "names in other cases": "[Alembic]\n[alembic]\nScript_Location = x\n[post_write_hooks]\nHooks = black\nblack.type=x\n",
}
TOMLS = {
    "one table": '[tool.alembic]\nscript_location = "%(here)s/migrations"\n',
    "after other tables": '[project]\nname = "x"\n\n[tool.alembic]\nscript_location = "x"\n\n[[tool.uv.index]]\nname = "y"\n',
    "our table": '[tool.dbkit]\nstrict = true\n\n[tool.alembic]\nscript_location = "x"\n',
    "our table, spaced": '[ tool . "dbkit" ]  # ours\nstrict = true\n[tool.alembic]\nscript_location = "x"\n',
    "a table of ours in a string": '[tool.alembic]\nscript_location = "x"\ntext = """\n[tool.dbkit2]\n"""\n',
    "headers in a text": '[project]\ntext = """\n[tool.dbkit]\n[[tool.alembic.post_write_hooks]]\npost_write_hooks = []\n"""\n[tool.alembic]\nscript_location = "x"\n',
    "hooks": '[tool.alembic]\nscript_location = "x"\n[[tool.alembic.post_write_hooks]]\nname = "ruff"\ntype = "module"\nmodule = "ruff"\noptions = "format REVISION_SCRIPT_FILENAME"\n\n[tool.ruff]\nline-length = 100\n',
    "hooks in a line": '[tool.alembic]\nscript_location = "x"\npost_write_hooks = [{ name = "a", type = "exec", executable = "[}]" }]\n[tool.x]\n',
    "hooks in lines": '[tool.alembic]\nscript_location = "x"\npost_write_hooks = [\n  { name = "a", type = "exec", executable = "a" },  # one ]\n  { name = "head", type = "exec", executable = "b" },\n]\n',
    "no hooks": '[tool.alembic]\nscript_location = "x"\npost_write_hooks = []\n',
    "not ASCII": '[project]\nname = "x"\nauthors = [{ name = "Jürgen" }]\n[tool.alembic]\nscript_location = "x"\n',
}
CASES = [(INI, text) for text in INIS.values()] + [(TOML, text) for text in TOMLS.values()]
NAMES = [f"{kind}-{name}" for kind, names in (("ini", INIS), ("toml", TOMLS)) for name in names]
ENDS: dict[str, Callable[[str], bytes]] = {
    "lf": str.encode,
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "no end": lambda text: text.rstrip("\n").encode(),
    "no end, crlf": lambda text: text.rstrip("\n").replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("path", "text"), CASES, ids=NAMES)
def test_what_is_added_is_taken_out(path: Path, text: str, end: str) -> None:
    before = ENDS[end](text)
    settings = add_baseline(path, before, "abc123")
    both = add_hook(path, settings)
    assert settings != before
    assert both != settings
    assert remove_hook(path, both) == settings
    assert remove_baseline(path, settings) == before
    # the other order
    hook = add_hook(path, before)
    again = add_baseline(path, hook, "abc123")
    assert remove_baseline(path, again) == hook
    assert remove_hook(path, hook) == before


@pytest.mark.parametrize("end", ["lf", "crlf"])
@pytest.mark.parametrize(("path", "text"), CASES, ids=NAMES)
def test_only_whole_lines_are_added(path: Path, text: str, end: str) -> None:
    """But for the name of the hook behind the others."""
    before = ENDS[end](text)
    after = add_hook(path, add_baseline(path, before, "abc123"))
    kept = [line for line in after.splitlines(keepends=True) if line in before.splitlines(keepends=True)]
    missing = [line for line in before.splitlines(keepends=True) if line not in after.splitlines(keepends=True)]
    assert len(missing) <= 1
    assert all(b"hooks" in line.lower() or b"executable" in line for line in missing)
    assert kept
    assert all(line.endswith(b"\r\n") for line in after.splitlines(keepends=True)) == (end == "crlf")


@pytest.mark.parametrize(("path", "text"), CASES, ids=NAMES)
def test_a_second_hook_is_not_added(path: Path, text: str) -> None:
    once = add_hook(path, text.encode())
    assert add_hook(path, once) == once


def test_the_section_in_an_ini() -> None:
    after = add_baseline(INI, b"[alembic]\nscript_location = x\n", "100%").decode()
    comment = after.splitlines()[3]
    assert after == f"[alembic]\nscript_location = x\n\n{comment}\n[dbkit]\nbaseline = 100%%\n"
    assert comment.startswith("# dbkit adopt ")


def test_the_hook_in_an_ini() -> None:
    after = add_hook(INI, INIS["hooks"].encode()).decode()
    assert "\nhooks = black, ruff, head\n" in after
    assert INI_HOOK in after


@pytest.mark.parametrize(("path", "text"), CASES, ids=NAMES)
def test_the_hook_for_an_older_alembic(path: Path, text: str) -> None:
    after = add_hook(path, text.encode(), "console_scripts")
    assert b"dbkit-head" in after
    assert b"dbkit.project" not in after
    assert add_hook(path, after) == after
    assert remove_hook(path, after) == text.encode()


def test_an_existing_hook_is_kept() -> None:
    for module in ("dbkit.project.head_file", "dbkit.headfile"):
        ini = f"[post_write_hooks]\nhooks = ruff, ours\nours.type = module\nours.module = {module}\n".encode()
        assert add_hook(INI, ini) == ini
        assert remove_hook(INI, ini) is None
    toml = b'[tool.alembic]\npost_write_hooks = [{name = "x", type = "module", module = "dbkit.headfile"}]\n'
    assert add_hook(TOML, toml) == toml


@pytest.mark.parametrize("text", ["[a]\n[a]\n", "x = 1\n", "[a\n", "[a]\nx = 1\nx = 2\n"])
def test_an_ini_that_alembic_does_not_read_is_not_edited(text: str) -> None:
    for change in (add_hook, remove_hook, remove_baseline):
        with pytest.raises(NotEditable):
            change(INI, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '[tool]\ndbkit = { strict = true }\n[tool.alembic]\nscript_location = "x"\n',
        '[tool]\ndbkit.strict = true\n[tool.alembic]\nscript_location = "x"\n',
        "[tool\n",
    ],
)
def test_a_form_of_toml_that_is_not_edited(text: str) -> None:
    with pytest.raises(NotEditable):
        add_baseline(TOML, text.encode(), "abc123")


@pytest.mark.parametrize("path", [INI, TOML])
def test_what_was_edited_is_not_taken_out(path: Path) -> None:
    text = (INIS if path == INI else TOMLS)["one section" if path == INI else "one table"].encode()
    settings, hook = add_baseline(path, text, "abc123"), add_hook(path, text)
    for changed in (
        settings.replace(b"abc123", b"def456"),
        settings.replace(b"baseline", b"\nbaseline"),
        settings + (b"strict = on\n" if path == INI else b"strict = true\n"),
    ):
        with pytest.raises(NotEditable):
            remove_baseline(path, changed)
    for changed in (hook.replace(b"FILENAME", b"FILENAME -v"), hook.replace(b"head_file", b"head_file2")):
        with pytest.raises(NotEditable):
            remove_hook(path, changed)
