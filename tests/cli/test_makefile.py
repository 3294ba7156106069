"""What people type after `make`: it reaches Alembic verbatim, or gets one clear line; nothing of it is executed."""

import re
from pathlib import Path

import pytest

from support.kit import Kit
from support.running import others_slow

VERBATIM = [
    "add user's email",
    "$(touch canary)",
    "$(shell touch canary)",
    "${shell touch canary}",
    "`touch canary`",
    'a"; touch canary; "',
    "a'; touch canary; '",
    "cost $5 and $m and $$",
    "${HOME} ${m}",
    "<% open('canary', 'w') %>",
    "${open('canary', 'w')}",
    "%(x)s %s %d",
    "say \"\"\"quoted\"\"\" and '''quoted'''",
    '""" + open("canary", "w").read() + """',
    r"\u12 \N{x} C:\users",
    "trailing backslash \\",
    "emoji 🎉 and ümlaut",
    "--sql",
    "-rf",
    "--help",
    "../../etc/passwd",
    "# not a comment",
    "a=b:c;d|e&f>g<h*?[i]~",
    "x" * 200,
]


def canaries(kit: Kit) -> list[Path]:
    """What a message that was run has left, wherever a program of ours may have been. The packages are too many to search."""
    places = (path for path in kit.path.iterdir() if path.name not in ("venv", ".dbkit"))
    return [path for place in places for path in (place, *place.rglob("canary")) if path.name == "canary"]


@pytest.mark.spread(7)
@pytest.mark.parametrize("message", others_slow(14, VERBATIM))
def test_a_message_travels_verbatim(kit: Kit, message: str) -> None:
    before = set(kit.versions)
    typed = kit.make("revision", f"m={message}", "empty=1")
    assert typed.returncode == 0, typed.stderr
    (made,) = set(kit.versions) - before
    assert re.fullmatch(r"\d{8}_\d{6}_[0-9a-f]{12}_[a-z0-9_]*\.py", made.name)
    namespace: dict[str, object] = {}
    exec(compile(made.read_text(encoding="utf-8"), made, "exec"), namespace)  # noqa: S102  # our own template's output
    assert namespace["__doc__"] == message
    assert not canaries(kit)


def test_white_space_in_a_message_is_collapsed(kit: Kit) -> None:
    before = set(kit.versions)
    assert kit.make("revision", "m= SHOP-7\n  add \t orders ", "empty=1").returncode == 0
    (made,) = set(kit.versions) - before
    assert made.read_text().startswith('"""SHOP-7 add orders"""\n')
    assert made.name.endswith("_shop_7_add_orders.py")


@pytest.mark.spread(6)
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["revision"], "the message is missing"),
        (["revision", "m="], "the message is missing"),
        (["revision", "m= \t\n "], "the message is missing"),
        (["revision", f"m={'x' * 201}"], "201 characters; 200 is the most"),
        (["revision", b"m=caf\xe9"], "not valid UTF-8"),
        (["revision", "m=user\u202eresu"], "U+202E"),
        (["revision", "m=bell\a"], "U+0007"),
        (["merge", "m="], "the message is missing"),
        (["revision", "m=x", "empty=1", "id=../../evil"], "'../../evil' cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id="], "'' cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=abc"], "cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=head"], "cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=heads"], "cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=base"], "cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=ABCD"], "cannot be a revision's id"),
        (["revision", "m=x", "empty=1", "id=$(touch canary)"], "cannot be a revision's id"),
        (["migrate", "to="], "'' is not a revision"),
        (["migrate", "to=head; touch canary"], "'head; touch canary' is not a revision"),
        (["migrate", "to=$(shell touch canary)"], "is not a revision"),
        (["migrate", "to=nosuch"], "nosuch"),
        (["migrate", "to=-1"], "-1 is behind the database"),
        (["migrate", "to=base"], "base is behind the database"),
        (["migrate", "to=+3"], "+3"),
        (["rollback", "to="], "'' is not a revision"),
        (["rollback", "to=`touch canary`"], "is not a revision"),
        (["rollback", "to=nosuch"], "nosuch"),
        (["rollback", "to=-99"], "-99"),
        (["rollback", "to=head"], "head is ahead of the database"),
        (["rollback", "to=+1"], "+1 is ahead of the database"),
        (["sql", "from=nosuch"], "nosuch"),
        (["sql", "out="], "out= names no file"),
        (["migrate", "to=head+1"], "'head+1' is not a revision"),
        (["migrate", "to=@head"], "'@head' is not a revision"),
        (["migrate", "to=-"], "'-' is not a revision"),
        (["sql", "from=base", "out=/nowhere/x.sql"], "cannot write /nowhere/x.sql"),
    ],
)
def test_a_bad_argument_gets_one_clear_line_and_exit_2(kit: Kit, arguments: list[str | bytes], line: str) -> None:
    files, revision = kit.versions, kit.query("SELECT version_num FROM alembic_version")
    typed = kit.make(*arguments)
    first, *rest = typed.stderr.splitlines()
    assert first.startswith("dbkit: ")
    assert line in first
    assert rest[-1].endswith("Error 2")
    assert "Traceback" not in typed.stderr
    assert (kit.versions, kit.query("SELECT version_num FROM alembic_version")) == (files, revision)
    assert not canaries(kit)
    assert not (kit.path / "backend" / "evil.py").exists()


def test_a_word_after_empty_is_understood_or_refused(kit: Kit) -> None:
    before = kit.versions
    assert "write 1 or 0, not 'maybe'" in kit.make("revision", "m=x", "empty=maybe").stderr
    assert kit.versions == before
    assert kit.make("revision", "m=x", "empty=yes").returncode == 0
    assert len(kit.versions) == len(before) + 1


def test_help_names_every_target_that_it_has(kit: Kit) -> None:
    shown = kit.make().stdout
    targets = re.findall(r"^([a-z][a-z-]*):", (kit.path / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE)) == set(targets) - {"help"}


def test_no_target_echoes_a_password(kit: Kit) -> None:
    url = "postgresql://shop:hunter2@127.0.0.1:1/x"
    for target in ("migrate", "status", "current", "psql", "sql", "reset"):
        typed = kit.make(target, env={"DATABASE_URL": url, "MIGRATION_WAIT": "0"})
        assert "hunter2" not in typed.stdout + typed.stderr
        assert "refused" in typed.stdout + typed.stderr


def test_make_from_another_directory(kit: Kit) -> None:
    typed = kit.run("make", "-C", str(kit.path), "status", cwd="..")
    assert typed.returncode == 0
    assert "next" in typed.stdout


def test_dotenv_is_private_and_never_overwritten(kit: Kit) -> None:
    dotenv: Path = kit.path / ".env"
    dotenv.unlink()
    assert kit.make("setup").returncode == 0
    assert dotenv.stat().st_mode & 0o777 == 0o600
    assert dotenv.read_bytes() == (kit.path / ".env.example").read_bytes()
    dotenv.write_text("APP_ENV=ci\n")
    (kit.path / ".env.example").touch()
    assert kit.make("setup").returncode == 0
    assert dotenv.read_text() == "APP_ENV=ci\n"
    assert not list(kit.path.glob(".env.[0-9]*"))
