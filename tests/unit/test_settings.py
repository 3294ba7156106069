"""`.env` and the environment: what is accepted, and what each bad input gets."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg import pq

from dbkit.database_url import parse_url
from dbkit.errors import InputError
from dbkit.settings import Settings, Target, load

SECRET = "hunter2"
HOSTILE = "@ : / % # $ ' \" \\"


def write(path: Path, content: str | bytes) -> Path:
    file = path / ".env"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(0o600)
    return path


def test_without_anything_the_embedded_server_is_meant(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={})
    assert settings.target is None
    assert (settings.lock_timeout, settings.statement_timeout, settings.wait) == (1.0, 0.0, 30.0)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "PostgreSQL"])
def test_the_names_of_the_scheme_mean_the_same(scheme: str) -> None:
    expected = Target(dbname="orders", user="shop", password=SECRET, host="db", port=5433)
    assert parse_url(f"{scheme}://shop:{SECRET}@db:5433/orders", "X") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///orders", {"dbname": "orders"}),
        ("postgresql://db/orders", {"host": "db", "dbname": "orders"}),
        ("postgresql://[::1]:5433/orders", {"host": "::1", "port": 5433, "dbname": "orders"}),
        ("postgresql://u@%2FVar%2Frun/orders", {"host": "/Var/run", "user": "u", "dbname": "orders"}),
        ("postgresql://u@/orders?host=/tmp/s&port=6", {"host": "/tmp/s", "port": "6", "user": "u", "dbname": "orders"}),
        ("postgresql://u:a:b@db/my%20db?sslmode=require",
         {"host": "db", "user": "u", "password": "a:b", "dbname": "my db", "sslmode": "require"}),
        # in libpq's own list: the parameters that psycopg's libpq knows
        pytest.param(
            *("postgresql://db/x?sslcertmode=disable", {"host": "db", "dbname": "x", "sslcertmode": "disable"}),
            marks=pytest.mark.skipif(pq.version() < 160000, reason="libpq before 16 does not have the parameter"),
        ),
        (f"postgresql://u:{quote(HOSTILE, safe='')}@db/x", {"host": "db", "user": "u", "password": HOSTILE, "dbname": "x"}),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(url: str, expected: dict[str, object]) -> None:
    assert parse_url(url, "X").parameters() == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (f"postgresql://u:p@{SECRET}@db/x", "raw @"),
        (f"postgresql://u:p/{SECRET}@db/x", "raw @, / or ?"),
        (f"postgresql://u:p?{SECRET}@db/x", "raw @, / or ?"),
        (f"postgresql://u:p#{SECRET}@db/x", "raw #"),
        (f"postgresql://u:p%{SECRET}@db/x", "raw %"),
        (f"postgresql://u:p {SECRET}@db/x", "space"),
        (f"postgresql://u:p\n{SECRET}@db/x", "invisible"),
        (f"postgresql://u:p\u202e{SECRET}@db/x", "invisible"),
        (f"postgresql://u:%ff{SECRET}@db/x", "not UTF-8"),
        (f"postgresql://u:%00{SECRET}@db/x", "NUL"),
        (f'"postgresql://u:{SECRET}@db/x"', "begins with a quote"),
        (f"'postgresql://u:{SECRET}@db/x'", "begins with a quote"),
        (f"postgresql://u:{SECRET}@db:99999/x", "port .* '99999'"),
        (f"postgresql://u:{SECRET}@db:54x2/x", "port .* '54x2'"),
        (f"postgresql://u:{SECRET}/x", "port"),
        (f"postgresql://u:{SECRET}@db", "names no database"),
        (f"postgresql://u:{SECRET}@db/", "names no database"),
        (f"postgresql://u:{SECRET}@db/x/y", "/ in the name"),
        (f"postgresql://u:{SECRET}@a,b/x", "several hosts"),
        (f"postgresql://u:{SECRET}@[::1/x", r"\["),
        (f"postgresql://u@db/x?password={SECRET}", r"\?password="),
        (f"postgresql://u@db/x?sslpassword={SECRET}", r"\?sslpassword="),
        (f"postgresql://u@db/x?{SECRET}=1", "does not know"),
        ("postgresql://u@db/x?service=other", "does not know"),
        (f"postgresql://u@db/x?scram_client_key={SECRET}", "does not know"),
        (f"postgresql://u@db/x?{SECRET}", "name=value"),
        (f"postgresql://u:{SECRET}@db/x?sslmode=a&sslmode=b", "twice"),
        ("sqlite:///x.db", "begins with sqlite://; this kit is for PostgreSQL"),
        (f"mysql://u:{SECRET}@db/x", "begins with mysql://"),
        (f"postgresql+asyncpg://u:{SECRET}@db/x", "asyncpg"),
        (f"postgresql+psycopg2://u:{SECRET}@db/x", "psycopg2"),
        (SECRET, "is not a URL"),
    ],
)
def test_a_bad_url_is_refused_without_showing_it(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, environ={"DATABASE_URL": url})
    assert str(caught.value).startswith("dbkit: DATABASE_URL in the environment")
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A=1\nPW: x\n", ".env, line 2 is not NAME=value"),
        ("A=1\n\n# c\nB='x\n", ".env, line 4 is not NAME=value"),
        ('A=1\nB="x" y\n', ".env, line 2 is not NAME=value"),
        ("A=1\nB=2\nA=3\n", ".env, line 3: A was already set in line 1"),
        ("A=1\nB\n", ".env, line 2: B has no value"),
        ("1A=1\n", ".env, line 1: '1A' cannot be the name"),
        ("A=1\nDATABASE_URL=\n", "DATABASE_URL in .env, line 2 is empty"),
        ("\n\nDATABASE_URL=sqlite:///x\n", "DATABASE_URL in .env, line 3 begins with sqlite"),
        ("MIGRATION_WAIT=soon\n", "MIGRATION_WAIT in .env, line 1: 'soon' is not a time"),
        ("MIGRATION_WAIT=-1\n", "is not a time"),
        ("DB_NAME=x\n", "DB_NAME in .env, line 1 is set, but DB_USER is not"),
        ("DB_HOST=x\nDB_USER=u\n", "but DB_NAME is not"),
        ("DB_NAME=x\nDB_USER=u\nDB_PORT=0\n", "port that is not a number from 1 to 65535: '0'"),
        ("DB_NAME=x\nDB_USER=\n", "DB_USER in .env, line 2 is empty"),
        ("DATABASE_URL=postgresql://h/x\nDB_NAME=x\n", "line 1 and DB_NAME in .env, line 2 are both set"),
        ("A=1\nB=caf\u00e9\n".encode("latin-1"), ".env, line 2: the file is not UTF-8"),
        ("A=1\n".encode("utf-16"), ".env, line 1: the file is UTF-16"),
        (b"A=1\nB=\0\n", ".env, line 2: there is a NUL byte"),
    ],
)
def test_a_bad_dotenv_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(write(tmp_path, content), environ={})


@pytest.mark.parametrize(
    ("content", "password"),
    [
        ("DB_PASSWORD=plain", "plain"),
        ("\ufeffDB_PASSWORD=bom", "bom"),
        ("DB_PASSWORD=crlf\r", "crlf"),
        ("DB_PASSWORD='pa${HOME}'", "pa${HOME}"),
        ("DB_PASSWORD=pa${HOME}$USER", "pa${HOME}$USER"),
        ("export DB_PASSWORD='a#b c' # comment", "a#b c"),
        ("DB_PASSWORD=a#b", "a#b"),
        (r"DB_PASSWORD='@ : / % # $ \' " + '"' + r" \\'", HOSTILE),
        ("DB_PASSWORD='two\nlines'", "two\nlines"),
    ],
)
def test_a_value_is_taken_as_it_is_written(tmp_path: Path, content: str, password: str) -> None:
    settings = load(write(tmp_path, f"{content}\nDB_NAME=x\nDB_USER=u\n"), environ={"HOME": "/expanded"})
    assert settings.target == Target(dbname="x", user="u", password=password, host="localhost", port=5432)


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    write(tmp_path, "DATABASE_URL=postgresql://file/x\nAPP_ENV=production\n")
    settings = load(tmp_path, environ={"DATABASE_URL": "postgresql://environment/x", "APP_ENV": "ci"})
    assert settings.target == Target(dbname="x", host="environment")
    assert settings.app_env == "ci"


def test_a_url_in_the_environment_beats_parts_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "DB_NAME=x\nDB_USER=u\n")
    assert load(tmp_path, environ={"DATABASE_URL": "postgresql://environment/y"}).target == Target(
        "y", host="environment"
    )


def test_a_password_in_the_environment_completes_the_parts_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "DB_NAME=x\nDB_USER=u\n")
    target = load(tmp_path, environ={"DB_PASSWORD": SECRET}).target
    assert target
    assert target.password == SECRET


def test_a_password_in_the_environment_does_not_silently_replace_a_url_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, "DATABASE_URL=postgresql://file/x\n")
    with pytest.raises(InputError, match="both set"):
        load(tmp_path, environ={"DB_PASSWORD": SECRET})


def test_the_parents_dotenv_is_never_read(tmp_path: Path) -> None:
    write(tmp_path, "DATABASE_URL=postgresql://parent/x\n")
    child = tmp_path / "project"
    child.mkdir()
    assert load(child, environ={}).target is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("7", 7), ("500ms", 0.5), ("5s", 5), ("2min", 120), ("1h", 3600)]
)
def test_a_time_is_in_seconds_unless_it_says_otherwise(tmp_path: Path, text: str, seconds: float) -> None:
    assert load(tmp_path, environ={"MIGRATION_LOCK_TIMEOUT": text}).lock_timeout == seconds


def test_a_dotenv_with_a_password_that_others_can_read_gets_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, f"DATABASE_URL=postgresql://u:{SECRET}@h/x\n")
    load(tmp_path, environ={}, warn=True)
    assert capsys.readouterr().err == ""
    (tmp_path / ".env").chmod(0o640)
    load(tmp_path, environ={}, warn=True)
    warning = capsys.readouterr().err
    assert f"chmod 600 {tmp_path}/.env" in warning
    assert SECRET not in warning


def test_no_representation_shows_the_password(tmp_path: Path) -> None:
    settings: Settings = load(tmp_path, environ={"DATABASE_URL": f"postgresql://u:{SECRET}@h/x"})
    assert SECRET not in repr(settings) + str(settings)
