"""migrations.mk with the real make: values travel verbatim, from any directory, and another Makefile stays as it was."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dbkit.adoption.make import DATABASE_VERBS, MAKEFILES, TARGET, render
from dbkit.adoption.owned import read_template
from dbkit.adoption.site import Site
from dbkit.cli import VERBS, options_of
from support.adoption_sites import contents, make_site, put_in, take_out, words
from support.kit import REPOSITORY

SHOW = """\
#!/bin/sh
printf '%s\\0' "$PWD" "$#" "$@" "${MAKEFLAGS-}" "${m-unset}"
"""
HOSTILE = [
    "$(touch canary)",
    "$(shell touch canary)",
    "${HOME} ${m} $$ $5",
    "`touch canary`",
    'a"; touch canary; "',
    "a'; touch canary; '",
    "trailing backslash \\",
    "# not a comment",
    "a=b:c;d|e&f>g<h*?[i]~",
    "--sql",
    "emoji 🎉 and ümlaut",
    "two\nlines",
    "",
]
MAKEFILES_OF_OTHERS = {
    "plain": b"all:\n\t@echo all\n",
    "no newline at the end": b"all:\n\t@echo all",
    "blank lines at the end": b"all:\n\t@echo all\n\n\n",
    "CRLF": b"all:\r\n\t@echo all\r\n",
    "CRLF without the last": b"all:\r\n\t@echo all\r\n# end",
    "empty": b"",
    "a prefix of recipes": b".RECIPEPREFIX = >\nall:\n>@echo all\n",
    "bash": b"SHELL := bash\n.SHELLFLAGS := -eu -o pipefail -c\n.ONESHELL:\nMAKEFLAGS += --warn-undefined-variables\nall:\n\t@echo all\n",
    "a default": b".DEFAULT_GOAL := all\nfirst:\n\t@false\nall:\n\t@echo all\n",
    "Latin-1": b"# caf\xe9\nall:\n\t@echo all\n",
    "any target": b"all:\n\t@echo all\n%:\n\t@echo caught $@\n",
}


@pytest.fixture
def show(tmp_path: Path) -> str:
    """A program that prints how it was called, in the place of dbkit."""
    path = tmp_path / "show"
    path.write_text(SHOW)
    path.chmod(0o755)
    return f"DBKIT={path}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "a project's, ü"
    path.mkdir()
    return path


def make(cwd: Path, *arguments: str | bytes, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "DBKIT", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env={**kept, **env}, capture_output=True, text=True, check=False
    )


def called(typed: "subprocess.CompletedProcess[str]") -> tuple[Path, list[str], list[str]]:
    """The directory and the arguments with which the program ran, and the values of MAKEFLAGS and of m."""
    assert typed.returncode == 0, typed.stderr
    cwd, count, *rest = typed.stdout.split("\0")[:-1]
    return Path(cwd), rest[: int(count)], rest[int(count) :]


@pytest.mark.parametrize("value", HOSTILE)
def test_values_travel_verbatim(root: Path, show: str, value: str) -> None:
    put_in(make_site(root, {"Makefile": "all:\n"}), "make")
    _, arguments, variables = called(make(root, show, "revision", f"m={value}"))
    assert arguments == ["revision", "-c", "alembic.ini", f"--message={value}"]
    # a program that runs make again does not pass the value on to be expanded there
    assert variables == [" -- ", "unset"]
    assert called(make(root, show, "migrate", f"to={value}"))[1] == ["migrate", "-c", "alembic.ini", f"--to={value}"]
    assert not list(root.rglob("canary"))


def test_an_option_is_given_where_its_variable_is_typed(root: Path, show: str) -> None:
    put_in(make_site(root), "make")
    file = ("-f", "migrations.mk")
    environment = {"to": "x", "STASH": "0", "name": "n"}
    assert called(make(root, *file, show, "migrate", env=environment))[1] == ["migrate", "-c", "alembic.ini"]
    rollback = ["rollback", "-c", "alembic.ini", "--stash=0"]
    assert called(make(root, *file, show, "rollback", env=environment))[1] == rollback
    backfill = called(make(root, *file, show, "backfill", "table=t", "set=a = 'b'", "where=$a", "database=d"))[1]
    assert backfill == ["backfill", "-c", "alembic.ini", "--database=d", "--set=a = 'b'", "--where=$a", "--", "t"]
    assert called(make(root, *file, show, "psql"))[1] == ["psql", "--config", "alembic.ini"]


@pytest.mark.parametrize("directory", [".", "backend/db"])
def test_from_any_directory(root: Path, show: str, directory: str, tmp_path: Path) -> None:
    site = make_site(root, {"Makefile": "all:\n\t@echo all\n"}, directory=directory)
    put_in(site, "make")
    ways = [
        (root, ()),
        (tmp_path, ("-C", str(root))),
        (tmp_path, ("-f", str(site.directory / "migrations.mk"))),
        (site.directory, ("-f", "migrations.mk")),
        (root.parent, ("-f", f"{root.name}/{directory}/migrations.mk")),
    ]
    for cwd, arguments in ways:
        where, given, _ = called(make(cwd, "-s", *arguments, show, "status", env={"CDPATH": "/tmp"}))
        assert (where, given) == (site.directory, ["status", "-c", "alembic.ini"]), arguments


@pytest.mark.parametrize("name", MAKEFILES_OF_OTHERS)
def test_another_makefile_stays_as_it_was(root: Path, show: str, name: str) -> None:
    content = MAKEFILES_OF_OTHERS[name]
    site = make_site(root, {"Makefile": content})
    before = contents(root)
    plain = make(root)
    put_in(site, "make")
    after = contents(root)
    end = b"" if content and not content.endswith(b"\n") else b"\n"
    assert after["Makefile"].replace(b"\r\n", b"\n") in (
        content.replace(b"\r\n", b"\n") + b"\n" * (not end) + b"-include migrations.mk" + end,
    )
    default = make(root, "--warn-undefined-variables")
    assert (default.returncode, default.stdout) == (plain.returncode, plain.stdout)
    assert "warning" not in default.stderr
    typed = make(root, show, "migrate")
    assert called(typed)[1] == ["migrate", "-c", "alembic.ini"]
    assert not typed.stderr
    assert words(put_in(site, "make")) == ["kept", "kept"]
    assert contents(root) == after
    take_out(site, "make")
    assert contents(root) == before
    assert take_out(site, "make") == []


def test_variables_of_another_makefile_reach_its_recipes(root: Path) -> None:
    content = "all:\n\t@env | grep ^name= && $(MAKE) -s -f sub.mk\n"
    sub = "all:\n\t@echo sub $(name) $(CFLAGS)\n"
    put_in(make_site(root, {"Makefile": content, "sub.mk": sub}), "make")
    assert make(root, "all", "name=n", "CFLAGS=-O3").stdout.splitlines() == ["name=n", "sub n -O3"]


@pytest.mark.parametrize(
    ("files", "prefix"),
    [
        ({"Makefile": "migrate:\n\t@true\n"}, "db-"),
        ({"Makefile": "check: lint test\nlint test:\n\t@true\n"}, "db-"),
        ({"Makefile": "build test status&:\n\t@true\n"}, "db-"),
        ({"Makefile": "a \\\n  psql::\n\t@true\n"}, "db-"),
        ({"Makefile": ".PHONY: sql\n"}, "db-"),
        ({"Makefile": "include mk/*.mk\n", "mk/db.mk": "log:\n\t@true\n"}, "db-"),
        ({"Makefile": "TOP := .\ninclude $(TOP)/all.mk\n", "all.mk": "log:\n\t@true\n"}, "db-"),
        ({"Makefile": "migrate:\ndb-migrate:\n"}, "dbkit-"),
        ({"Makefile": "migrate := yes\nstatus = no\n# check: that\nall:\n\techo log: this\n"}, ""),
        ({"Makefile": "migrations:\n\t@true\n"}, ""),
    ],
)
def test_targets_get_a_prefix_where_a_name_is_taken(root: Path, show: str, files: dict[str, str], prefix: str) -> None:
    site = make_site(root, files)
    targets, include = put_in(site, "make")
    assert (prefix in targets.note, include.path.name) == (True, "Makefile")
    assert called(make(root, show, f"{prefix}heads"))[1] == ["-c", "alembic.ini", "heads"]
    assert "warning" not in make(root, "-n", "all").stderr
    # what the team adds to a target of dbkit is no reason for other names
    (root / "Makefile").write_text((root / "Makefile").read_text() + f"\n{prefix}migrate: all\n")
    assert words(put_in(site, "make")) == ["kept", "kept"]


def test_names_that_are_all_taken_are_left(root: Path) -> None:
    site = make_site(root, {"Makefile": "migrate db-migrate dbkit-migrate:\n\t@true\n"})
    before = contents(root)
    assert words(put_in(site, "make")) == ["left"]
    assert contents(root) == before


@pytest.mark.parametrize("name", MAKEFILES)
def test_the_makefile_that_make_takes_is_edited(root: Path, show: str, name: str) -> None:
    site = make_site(root, dict.fromkeys(MAKEFILES[MAKEFILES.index(name) :], "all:\n"))
    assert [each.path.name for each in put_in(site, "make")] == ["migrations.mk", name]
    called(make(root, show, "migrate"))


@pytest.mark.parametrize(
    "line", ["include migrations.mk", "-include ./migrations.mk", "include *.mk", "sinclude m*.mk"]
)
def test_an_include_that_is_there_is_kept(root: Path, show: str, line: str) -> None:
    site = make_site(root, {"Makefile": f"{line}\nall:\n\t@echo all\n", "migrations.mk.old": ""})
    assert words(put_in(site, "make")) == ["changed", "kept"]
    assert make(root).stdout == "all\n"
    called(make(root, show, "migrate"))


def test_a_second_include_does_nothing(root: Path, show: str) -> None:
    site = make_site(root, {"Makefile": "FILES = migrations.mk\ninclude $(FILES)\nall:\n\t@echo all\n"})
    assert words(put_in(site, "make")) == ["changed", "changed"]
    typed = make(root, show, "migrate")
    assert called(typed)[1] == ["migrate", "-c", "alembic.ini"]
    assert not typed.stderr
    assert make(root).stdout == "all\n"


@pytest.mark.parametrize("content", [b"all:\n\t@echo \\\n", b"define lines\nall:\n"])
def test_a_makefile_that_does_not_end_is_left(root: Path, content: bytes) -> None:
    site = make_site(root, {"Makefile": content})
    _, include = put_in(site, "make")
    assert "-include migrations.mk" in include.left
    assert (root / "Makefile").read_bytes() == content


def test_an_edited_file_is_left(root: Path) -> None:
    site = make_site(root, {"Makefile": "all:\n"})
    put_in(site, "make")
    path = root / "migrations.mk"
    path.write_text(path.read_text().replace("apply pending", "apply the pending"))
    before = contents(root)
    assert words(put_in(site, "make")) == ["left", "kept"]
    assert words(take_out(site, "make")) == ["left"]
    assert contents(root) == before


def test_line_endings_of_another_clone_do_not_count(root: Path) -> None:
    site = make_site(root)
    put_in(site, "make")
    path = root / "migrations.mk"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert words(put_in(site, "make")) == ["kept"]
    assert words(take_out(site, "make")) == ["removed"]


def test_a_file_of_that_name_that_is_not_dbkits_is_left(root: Path) -> None:
    site = make_site(root, {"migrations.mk": "migrate:\n\t@true\n", "Makefile": "include migrations.mk\n"})
    before = contents(root)
    assert words(put_in(site, "make")) == ["left"]
    assert take_out(site, "make") == []
    assert contents(root) == before


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {text} "$@"\n')
    path.chmod(0o755)


def test_dbkit_is_found(root: Path, tmp_path: Path) -> None:
    site = make_site(root, {"Makefile": ""}, directory="back/end")
    put_in(site, "make")
    tools = tmp_path / "tools"
    for name in ("python3", "uv", "poetry"):
        executable(tools / name, name)
    path = {"PATH": f"{tools}:/usr/bin:/bin"}

    def shown() -> str:
        return make(root, "migrate", env=path).stdout.strip()

    arguments = "-m dbkit migrate -c alembic.ini"
    assert shown() == f"python3 {arguments}"
    (root / "poetry.lock").touch()
    assert shown() == f"poetry run python {arguments}"
    (site.directory / "uv.lock").touch()
    assert shown() == f"uv run python {arguments}"
    assert make(root, "heads", env=path).stdout.strip() == "uv run python -m alembic -c alembic.ini heads"
    executable(root / "venv/bin/python", "venv")
    assert shown() == f"uv run python {arguments}", "dbkit is not installed in it"
    executable(root / "venv/bin/dbkit", "dbkit")
    assert shown() == f"venv {arguments}"
    executable(root / ".venv/bin/python", ".venv")
    executable(root / ".venv/bin/dbkit", "dbkit")
    assert shown() == f".venv {arguments}"
    assert make(root, "migrate", "DBKIT=echo mine").stdout.strip() == "mine migrate -c alembic.ini"


FLASK = {"app.py": "", "migrations/alembic.ini": "[alembic]\n", "migrations/env.py": ""}


@pytest.mark.parametrize("git", [True, False])
def test_env_beside_the_settings_file(root: Path, show: str, git: bool) -> None:
    """As with Flask-Migrate: the application is found from the directory above."""
    make_site(root, {**FLASK, "Makefile": "all:\n"})
    (root / "alembic.ini").unlink()
    directory = root / "migrations"
    site = Site(directory / "alembic.ini", "alembic", directory, directory, root if git else directory, ci="github")
    put_in(site, "make")
    typed = make(root, show, "migrate")
    assert called(typed)[:2] == (root, ["migrate", "-c", "migrations/alembic.ini"])
    assert called(make(root, "-f", "migrations/migrations.mk", show, "status"))[0] == root
    assert "make migrate" in make(root, "help-migrations").stdout
    put_in(site, "nox")
    assert '"-c",\n        "migrations/alembic.ini",\n' in (root / "noxfile.py").read_text()
    put_in(site, "CI")
    assert "dbkit check -c migrations/alembic.ini\n" in (root / ".github/workflows/migrations.yml").read_text()
    for part in ("CI", "nox", "make"):
        take_out(site, part)
    assert set(contents(root)) == {*FLASK, "Makefile"}


def test_a_location_that_is_relative_to_a_directory_above(root: Path, show: str) -> None:
    site = make_site(root, {"db/alembic.ini": "[alembic]\nscript_location = db/migrations\n"}, directory="db")
    (root / "Makefile").write_text("all:\n")
    put_in(site, "make")
    assert called(make(root, show, "heads"))[:2] == (root, ["-c", "db/alembic.ini", "heads"])
    assert called(make(root / "db", "-f", "migrations.mk", show, "migrate"))[0] == root


def test_help_lists_every_target(root: Path) -> None:
    site = make_site(root)
    put_in(site, "make")
    shown = make(root, "-f", "migrations.mk").stdout
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.M)) == set(TARGET.findall(read_template("migrations.mk")))
    assert make(root).returncode == 2, "make without a Makefile is as before"


def recipes(makefile: str) -> dict[str, str]:
    """The recipe of each documented target, without what finds the project and dbkit."""
    found = dict(re.findall(r"^([a-z-]+):.*?## .*\n\t(.+)$", makefile, re.M))
    for name, recipe in found.items():
        recipe = recipe.replace("$(DBKIT_CD) && ", "").replace("$(DBKIT_ALEMBIC)", "$(ALEMBIC)")
        found[name] = recipe.replace("$(call dbkit-option,", "$(call option,")
    return found


def test_recipes_are_those_of_the_kit() -> None:
    kit = recipes((REPOSITORY / "Makefile").read_text())
    shared = recipes(read_template("migrations.mk"))
    del shared["help-migrations"]
    assert shared == {name: kit[name] for name in shared}
    new = recipes(read_template("new/Makefile.template"))
    clean = new.pop("clean")
    assert clean.startswith(kit["clean"].partition(" && rm")[0])
    assert new == {name: kit[name] for name in new}
    # those of the kit's tests and checks are no part of a project
    assert set(kit) - set(shared) - set(new) == {"test", "lint", "format", "clean"}
    variables = re.compile(r"VARIABLES := (.*)")
    kits, shareds = (
        variables.search(text) for text in ((REPOSITORY / "Makefile").read_text(), read_template("migrations.mk"))
    )
    assert kits is not None
    assert shareds is not None
    assert set(kits[1].split()) == set(shareds[1].split()) - {"database"}


def test_options_that_name_the_project(root: Path) -> None:
    site = make_site(root)
    named = type(site)(**{**vars(site), "section": "my $db", "arguments": ("tenant=a b",)})
    text = render(named)
    options = "-n 'my $$db' -x 'tenant=a b'"
    assert f"$(DBKIT) migrate -c alembic.ini {options} " in text
    assert "$(DBKIT) psql --config alembic.ini --name 'my $$db' --x-arg 'tenant=a b' " in text
    assert "$(DBKIT) log -c alembic.ini --name 'my $$db' -x 'tenant=a b'" in text
    assert f"$(DBKIT_ALEMBIC) -c alembic.ini {options} heads" in text


def test_verbs_that_take_a_database_are_those_of_the_command_line() -> None:
    several = {
        name
        for name, verb in VERBS.items()
        if "--database" in {each for flags, _ in options_of(verb) for each in flags}
    }
    assert set(DATABASE_VERBS) == several & set(re.findall(r"\$\(DBKIT\) ([a-z-]+)", read_template("migrations.mk")))
