"""What the redactor hides, what it leaves, and that nothing in the program goes around it."""

import ast
import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

import dbkit
from dbkit.errors import InputError, as_dbkit_error, describe_error, say
from dbkit.redaction import outputs, redact
from dbkit.settings import load

S = "k7Qz_canary9"
# beside those that tests/cli/test_secrets_in_outputs.py runs; S is the secret
FORMS = [
    f"DO 'BEGIN EXECUTE ''ALTER ROLE a PASSWORD ''''{S}''''''; END'",
    f"EXECUTE format('ALTER ROLE %I PASSWORD %s', 'app', '{S}')",
    f"EXECUTE format('ALTER ROLE %I PASSWORD ''%s''', 'app', '{S}')",
    f"EXECUTE concat('ALTER ROLE a PASSWORD ', quote_literal('{S}'))",
    f'SQL statement "ALTER ROLE a PASSWORD $${S}$$" PL/pgSQL function inline_code_block line 1 at SQL statement',
    f"ALTER ROLE a PASSWORD $q${S}",  # cut off
    f"ALTER ROLE a PASSWORD -- a comment, in one line '{S}'",
    f"'ALTER ROLE a PASSWORD \\'{S}\\''",
    f"op.execute(\"ALTER ROLE a PASSWORD '{S}'\")",
    f"op.execute(\"ALTER ROLE a PASSWORD '\" + '{S}' + \"'\")",
    f"[SQL: ALTER ROLE a PASSWORD %s]\n[parameters: ('{S}',)]",
    f"[SQL: UPDATE u SET password = %(p)s]\n[parameters: {{'p': '{S}'}}]",
    f"UPDATE u SET password = crypt('{S}', gen_salt('bf'))",
    f"UPDATE u SET password = md5('{S}')",
    f"SET app.jwt_secret TO '{S}'",
    f"Key (email, password)=(a, {S}) already exists.",
    f'COPY users, line 1, column password: "{S}"',
    f"postgres://u:a:{S}@h/d",
    f"postgresql://u:{S}",
    f"invalid interpolation syntax in 'postgresql+psycopg://u:{S}…'",
    f"postgresql://u:it's{S}@h/d",
    f"host=h password='a\\'{S}' dbname=d",
    f'could not translate host name "{S}@h" to address',
    f'invalid port number: "{S}"',
    f"{{'password': '{S}'}}",
    f'{{"client_secret": "{S}"}}',
    f"os.environ['DB_PASSWORD'] = '{S}'",
    f"password: {S}",
    f"--password {S}",
    f"Authorization: Bearer {S}.x1",
    "AKIAIOSFODNN7EXAMPLE",
    f"ALTER ROLE a PASSWORD {S}",
    f'CREATE USER a LOGIN PASSWORD "{S}" CREATEDB',
    f"UPDATE u SET (name, password) = ('bob', '{S}')",
    f"SELECT 1 FROM u WHERE token <> '{S}' OR secret IN ('a', '{S}')",
    f"SELECT '{S}' AS password",
    f"ALTER TABLE u ADD COLUMN api_key varchar(20) NOT NULL DEFAULT '{S}'",
    f"ALTER TABLE u ALTER COLUMN password SET DEFAULT '{S}'",
    f"DO $x$ DECLARE pw text := '{S}'; BEGIN NULL; END $x$",
    f"DO $x$ DECLARE v text := '{S}'; BEGIN EXECUTE format('ALTER ROLE a PASSWORD %L', v); END $x$",
    f"no such line: db.internal:5432:app:me:{S}",
    f"-----BEGIN PRIVATE KEY-----\n{S}\n-----END PRIVATE KEY-----",
    f"SELECT 1 FROM u WHERE name = '' AND token = '{S}' AND secret = ''",
    f"UPDATE u SET token = '' || '{S}'",
    f"UPDATE u SET secret = '', token = ''\nUPDATE u SET password = '{S}'",
    f"EXECUTE 'UPDATE u SET name = '' a'', password = '' {S}'''",
    f"EXECUTE 'SELECT 1\n ALTER ROLE x PASSWORD '' {S}'' LOGIN'",
    f"('it''s'); ALTER ROLE x PASSWORD '' {S}''",
    f"it doesn't help: password = '' {S}''",
    f"api_key: {S} of 5",
]
UNCHANGED = [
    "CREATE TABLE u (password varchar(20) DEFAULT '', token text)",
    "CREATE UNIQUE INDEX u_token ON t (token) WHERE token IS NOT NULL",
    "ALTER ROLE a PASSWORD NULL",
    "ALTER ROLE a PASSWORD %s",
    "UPDATE s SET token = t.token FROM t",
    "INSERT INTO t VALUES (1, 'it''s')",
    "SELECT '12:30' AS at, 'a@b'",
    'column "password" of relation "users" does not exist',
    'password authentication failed for user "app"',
    "Check the user, password, database and parameters in .env.",
    "DATABASE_URL has ?password= in it.",
    "Write postgresql://user:password@host/name",
    "In a URL's password, write @ as %40, : as %3A, / as %2F",
    "http://localhost:8080/x and postgresql://app@db.internal:5432/app",
    "at 20261124_add_password.py:21: division by zero",
    "password: must not be empty",
    "12:30:15 at a:1:2 of 2026-11-28T10:12:31+00:00 and ::1",
    "ALTER TABLE u ALTER COLUMN password TYPE text, ADD other text DEFAULT 'x'",
    "CREATE ROLE a PASSWORD :pw",
    "DELETE FROM bot WHERE name = 'Default Bot' AND bot_token = '' AND app_token = '' AND id = 1",
    "UPDATE u SET token = '', secret = '' WHERE (password = '') OR secret = ''; SELECT ''",
    "UPDATE u SET token = ''\nat r1.py:6\nproven: r2\nUPDATE u SET token = '' WHERE name = ''",
    "after downgrade, users.api_key: 5 of 5 values lost; users.token: 1,200 of 5,000 values changed",
]


SHORT = ["hunter2", "s3cret", "Tr0ub4dor&3"]


@pytest.mark.parametrize("value", SHORT)
def test_what_the_server_repeats_of_a_statement_is_hidden(value: str) -> None:
    redact.learn_from(f"ALTER ROLE app PASSWORD {value}")
    assert redact.text(f'syntax error at or near "{value}" of x{value[:3]}') == (
        f'syntax error at or near "***" of x{value[:3]}'
    )


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    redact.forget()
    yield
    redact.forget()


@pytest.mark.parametrize("text", FORMS)
def test_a_secret_is_hidden_in_this_form(text: str) -> None:
    told = redact.text(text)
    assert S not in told
    assert "AKIA" not in told
    assert "***" in told
    assert redact.text(told) == told


@pytest.mark.parametrize("text", UNCHANGED)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact.text(text) == text


@pytest.mark.parametrize("value", ["p@ss:w/o#r?d%1", 'it\'s "quoted" \\ 9', "ünïcödé-9", "Abcdefg123", "a b c d e 1"])
def test_a_known_value_is_hidden_in_every_encoding(value: str) -> None:
    redact.learn_variables({"DB_PASSWORD": value})
    for form in redact.encodings(value):
        assert form not in redact.text(f"before {form} after")
        assert redact.text(f"before {form} after").startswith("before ***")


def test_parts_of_a_known_url_are_hidden_too() -> None:
    """A raw / or @ in a password: each program takes another part of it for the host or the port."""
    redact.learn_variables({"TEAM_URL": "postgresql://me:left/middle#9@right99@db.internal/app"})
    told = redact.text("invalid literal for int() with base 10: 'left'; \"x\" 'middle'; left/middle#9@right99")
    assert told == "invalid literal for int() with base 10: '***'; \"x\" '***'; ***"


@pytest.mark.parametrize("password", ["app", "postgres", "test", "x", "password", "database", "1234"])
def test_a_plain_word_for_a_password_wrecks_no_message(password: str) -> None:
    """Hidden everywhere, it would be told by the gaps. Where it stands for a password, it is hidden."""
    redact.learn_variables({"DATABASE_URL": f"postgresql://app:{password}@db/app", "PGPASSWORD": password})
    words = 'the server of the test database "app" at postgres x 1234: password authentication failed'
    assert redact.text(words) == words
    for form in ("ALTER ROLE app PASSWORD '{}'", "host=db password={} dbname=app", "postgresql://app:{}@db/app"):
        assert redact.text(form.format(password)) == form.format("***")


def test_a_value_that_sql_has_shown_is_hidden_where_the_server_cuts_the_statement() -> None:
    told = redact.text(
        'syntax error at or near "VALID"\nLINE 1: ...anary9\' VALID UNTLI\n'
        f"[SQL: ALTER ROLE app PASSWORD '{S}' VALID UNTLI]\nLINE 2: ALTER ROLE app PASSWORD 'k7Qz_can..."
    )
    assert "anary" not in told
    assert "k7Qz" not in told


def test_a_document_stays_a_document() -> None:
    """Strings are redacted before they are written as JSON: a pattern never goes over the end of one."""
    document = {"detail": "password =", "sql": f"ALTER ROLE a PASSWORD '{S}", "password": ["token: ", '"'], "n": 1}
    told = redact.tree(document)
    assert told == {"detail": "password =", "sql": "ALTER ROLE a PASSWORD '***", "password": ["token: ", '"'], "n": 1}
    assert json.loads(json.dumps(told)) == told


def test_errors_and_what_is_said_have_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError(f"cannot use postgresql://u:{S}@h/d", f"password={S}")
    say(f"PASSWORD '{S}'")
    for text in (str(error), repr(error.args), error.message, error.hint, capsys.readouterr().err):
        assert S not in text
    assert S not in str(as_dbkit_error(ValueError(f"password={S}")))
    assert S not in describe_error(ValueError(f"token: {S}"))


def test_the_settings_are_known(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL=postgresql://u:p%40{S}@h/d\nSTRIPE_KEY=x\nSTRIPE_SECRET_KEY={S}2\n")
    load(tmp_path, {"OTHER_DSN": f"{S}3"})
    assert redact.text(f"p@{S} {S}2 {S}3 p%40{S}") == "*** *** *** ***"


@contextmanager
def redacted() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What comes out at the end, of stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    former = sys.excepthook, logging.getLogRecordFactory()
    try:
        with redirect_stdout(out), redirect_stderr(err), outputs.redacted_streams():
            yield out, err
    finally:
        sys.excepthook = former[0]
        logging.setLogRecordFactory(former[1])


def test_the_streams_are_redacted_whatever_writes_to_them() -> None:
    with redacted() as (out, err):
        print("ALTER ROLE a PASSWORD", f"'{S}'")  # in pieces
        print("PASSWORD\n", f"'{S}'", file=sys.stderr)
        print(f"\rpassword={S}", end="", file=sys.stderr, flush=True)
        sys.stdout.write(f"PASSWORD '{S}'")
        outputs.write_data(f"\nALTER ROLE a PASSWORD '{S}2';\n")
    assert out.getvalue() == f"ALTER ROLE a PASSWORD '***'\nPASSWORD '***'\nALTER ROLE a PASSWORD '{S}2';\n"
    assert err.getvalue() == "PASSWORD\n '***'\n\rpassword=***"


def test_tracebacks_and_log_records_are_redacted() -> None:
    """A log record for the handlers of others, too, which have a stream or a file of their own."""
    own = io.StringIO()
    handler = logging.StreamHandler(own)
    logger = logging.getLogger("somebody.else")
    logger.addHandler(handler)
    with redacted() as (_out, err):
        try:
            raise ValueError(f"password={S}")
        except ValueError as error:
            logger.exception("with %s", f"postgresql://u:{S}@h/d")
            sys.excepthook(type(error), error, error.__traceback__)
    logger.removeHandler(handler)
    assert own.getvalue().startswith("with postgresql://u:***@h/d\nTraceback")
    for text in (own.getvalue(), err.getvalue()):
        assert "ValueError: password=***" in text
        assert S not in text


def test_nothing_in_the_program_goes_around_the_streams() -> None:
    """What is printed, by anything, is redacted; only these ways would not be, and `outputs` alone has them."""
    around = {"__stdout__", "__stderr__", "write_unchanged", "buffer"}
    found = []
    for path in sorted(Path(dbkit.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_file = isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.write", "os.fdopen", "open")
            is_number = is_file and isinstance(node, ast.Call) and ast.unparse(node.args[0]) in ("1", "2")
            if (isinstance(node, ast.Attribute) and node.attr in around) or is_number:
                found.append((path.name, node.lineno))
    assert {name for name, _ in found} == {"outputs.py"}


def test_what_env_py_does_to_the_streams_still_works(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as real, redirect_stdout(real):
        stream = outputs.RedactedStream(real)
        stream.reconfigure(errors="backslashreplace", line_buffering=True)
        print("a", end="", file=stream)
        stream.close()
        stream.flush()
        assert (stream.encoding, stream.errors, stream.isatty()) == (real.encoding, "backslashreplace", False)
        assert (tmp_path / "out").read_text() == "a"


REPEATED = ["token = '' ", "ab.cd-ef", "a.b@c.d;", "aGVsbG8gd29ybGQ+/Zz09", "k=v&", "a:1:"]
UNCLOSED = [
    "crypt('a', ",
    "crypt('crypt(' ",
    "password = crypt(",
    "password in ('a', ",
    "insert into t(password) values (",
]


@pytest.mark.parametrize("part", [*REPEATED, *UNCLOSED])
def test_a_long_text_that_repeats_itself_takes_no_long_time(part: str) -> None:
    started = time.process_time()
    assert redact.text(part * (100_000 // len(part)))
    # half a second; with a search from each letter on, it takes ten and more
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "secret",
    [
        *("ghp_" + "a" * 36, "github_pat_" + "b" * 30, "glpat-" + "c" * 20, "xoxb-" + "1" * 12, "sk_live_" + "d" * 24),
        *("AIza" + "e" * 35, "eyJ" + "f" * 9 + ".eyJ" + "g" * 9 + ".h", "md5" + "a" * 32),
        "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
    ],
)
def test_a_credential_is_known_by_its_form(secret: str) -> None:
    assert redact.text(f"see {secret} here") == "see *** here"


@pytest.mark.parametrize("name", ["pa\u017f\u017fword", "TO\u212aEN", "CL\u0130ENT_KEY", "pr\u0131vate-key"])
def test_a_name_in_any_letters_that_a_pattern_takes_for_those_of_ascii(name: str) -> None:
    assert redact.text(f"ü {name} = 'Abcdefg123'") == f"ü {name} = '***'"


def test_a_call_in_a_string_of_another_call_is_read() -> None:
    text = "near 'crypt( ' … SELECT crypt('Abcdefg123', gen_salt('bf'))"
    assert "Abcdefg123" not in redact.text(text)


def test_a_line_of_a_password_file_is_found_behind_other_words() -> None:
    for before in ("", "from ", "file:.", "-", "a,"):
        assert redact.text(f"{before}db.internal:5432:shop:app:s3cret-9") == f"{before}db.internal:5432:shop:app:***"
