"""The container's entrypoint, run as a container runs it; and that Dockerfile and compose.yaml fit the tree."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Mapping

import psycopg
import pytest

from dbkit.postgres.locks import lock_key
from dbkit.settings import Target
from support.kit import REPOSITORY, SHOP_HEAD, Kit
from support.running import foreground, others_slow
from support.servers import free_port
from support.shop_revisions import add_revision, wait_for

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600)'"
RAN = ["echo", "the command ran"]


def environment(kit: Kit, more: Mapping[str, str] = {}) -> dict[str, str]:
    """What the image sets: its venv comes first on PATH."""
    return {**kit.environment, "PATH": f"{kit.path}/venv/bin:{kit.environment['PATH']}", **more}


def start(kit: Kit, *command: str, env: Mapping[str, str] = {}, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*under, str(kit.path / "scripts/docker-entrypoint.sh"), *command],
        cwd="/",
        env=environment(kit, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=foreground,
    )


def enter(kit: Kit, *command: str, env: Mapping[str, str] = {}) -> tuple[int, str, str]:
    """Exit code, output and errors of the entrypoint."""
    process = start(kit, *command, env=env)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def version(kit: Kit) -> list[tuple[object, ...]]:
    return kit.query("SELECT version_num FROM alembic_version")


def test_it_migrates_and_becomes_the_command(kit: Kit) -> None:
    kit.set_database("template0")
    process = start(kit, "bash", "-c", "echo $$; pwd")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, f"{process.pid}\n/\n"), errors
    assert errors.count("Running upgrade") == 26
    assert version(kit) == [(SHOP_HEAD,)]


@pytest.mark.slow
def test_the_command_gets_its_arguments_as_they_are(kit: Kit) -> None:
    arguments = ["a  b", "it's", '"', "$HOME `id` $(id)", "*", "", "-n", "ü", "two\nlines", "\\"]
    program = "import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(17)"
    code, output, errors = enter(kit, "python", "-c", program, *arguments)
    assert (code, json.loads(output)) == (17, arguments), errors


@pytest.mark.slow
def test_without_a_command_it_ends_when_the_database_is_at_the_head(kit: Kit) -> None:
    kit.set_database("template0")
    assert enter(kit)[:2] == (0, "")
    assert version(kit) == [(SHOP_HEAD,)]


@pytest.mark.slow
def test_a_command_that_does_not_exist_is_a_failure(kit: Kit) -> None:
    assert enter(kit, "no-such-program")[0] == 127


@pytest.mark.slow
def test_after_a_failed_migration_the_command_is_not_run(kit: Kit) -> None:
    add_revision(kit, 'op.execute("CREATE TABLE half (x int)"); op.execute("SELECT 1 / 0")')
    code, output, errors = enter(kit, *RAN)
    assert (code, output, "division by zero" in errors) == (1, "", True)
    assert kit.query("SELECT version_num, to_regclass('half') FROM alembic_version") == [(SHOP_HEAD, None)]


@pytest.mark.slow
@pytest.mark.parametrize("migrate", ["1", "0"])
def test_a_database_ahead_of_the_code_ends_it(kit: Kit, migrate: str) -> None:
    kit.query("UPDATE alembic_version SET version_num = 'fedcba987654'")
    code, output, errors = enter(kit, *RAN, env={"MIGRATE_ON_START": migrate})
    assert (code, output, "fedcba987654" in errors) == (7, "", True)


@pytest.mark.slow
def test_a_migration_that_goes_on_elsewhere_for_too_long_ends_it(kit: Kit) -> None:
    assert kit.alembic("downgrade", "-1").returncode == 0
    with psycopg.connect(**kit.cluster.target().parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(Target("app"))])
        assert enter(kit, *RAN, env={"MIGRATION_WAIT": "300ms"})[:2] == (5, "")


@pytest.mark.spread(3)
@pytest.mark.parametrize("migrate", ["1", "0"])
@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"DATABASE_URL": "postgresql://u@127.0.0.1:{port}/x", "MIGRATION_WAIT": "0"}, 4),
        ({"DATABASE_URL": ""}, 2),
        ({"MIGRATION_WAIT": "soon"}, 2),
    ],
)
def test_without_a_server_or_settings_the_command_is_not_run(
    kit: Kit, settings: dict[str, str], code: int, migrate: str
) -> None:
    env = {name: value.format(port=free_port()) for name, value in settings.items()}
    assert enter(kit, *RAN, env=env | {"MIGRATE_ON_START": migrate})[:2] == (code, "")


@pytest.mark.parametrize("value", ["", "no", "01", " 1", "2", "0\n1"])
def test_a_switch_that_is_neither_on_nor_off_is_an_error(kit: Kit, value: str) -> None:
    code, output, errors = enter(kit, *RAN, env={"MIGRATE_ON_START": value})
    assert (code, output) == (2, "")
    assert re.fullmatch(r"docker-entrypoint: MIGRATE_ON_START is .*: write 0 or 1, or leave it out\.\n", errors)


@pytest.mark.slow
def test_who_does_not_migrate_does_not_start_on_an_old_schema(kit: Kit) -> None:
    assert kit.alembic("downgrade", "-1").returncode == 0
    before = version(kit)
    code, output, errors = enter(kit, *RAN, env={"MIGRATE_ON_START": "0", "MIGRATION_WAIT": "0"})
    assert (code, output, "1 pending" in errors) == (1, "", True)
    assert version(kit) == before != [(SHOP_HEAD,)]


def test_who_does_not_migrate_waits_for_who_does(kit: Kit) -> None:
    assert kit.alembic("downgrade", "-1").returncode == 0
    waiting = start(kit, *RAN, env={"MIGRATE_ON_START": "0", "MIGRATION_WAIT": "60s"})
    assert enter(kit)[0] == 0
    assert waiting.communicate(timeout=180)[0] == "the command ran\n"
    assert waiting.returncode == 0
    assert enter(kit, *RAN, env={"MIGRATE_ON_START": "0", "MIGRATION_WAIT": "0"}) == (0, "the command ran\n", "")


@pytest.mark.parametrize(("number", "code"), others_slow(1, [(signal.SIGTERM, 143), (signal.SIGINT, 130)]))
def test_a_signal_stops_a_long_migration_at_once(kit: Kit, number: int, code: int) -> None:
    add_revision(kit, 'op.execute("CREATE TABLE half (x int)"); op.execute("SELECT pg_sleep(600)")')
    process = start(kit, *RAN)
    wait_for(kit, SLEEPING, 1)
    process.send_signal(number)
    output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (code, ""), errors
    assert "interrupted in the upgrade of 0123456789ab" in errors
    wait_for(kit, SLEEPING, 0)
    assert kit.query("SELECT version_num, to_regclass('half') FROM alembic_version") == [(SHOP_HEAD, None)]


@pytest.mark.parametrize("migrate", ["1", "0"])
@pytest.mark.parametrize(("number", "code"), others_slow(1, [(signal.SIGTERM, 143), (signal.SIGINT, 130)]))
def test_a_signal_ends_the_wait_for_a_server(kit: Kit, number: int, code: int, migrate: str) -> None:
    """The server here takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        url = f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x"
        process = start(kit, *RAN, env={"DATABASE_URL": url, "MIGRATION_WAIT": "1h", "MIGRATE_ON_START": migrate})
        with listener.accept()[0]:
            process.send_signal(number)
            output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (code, ""), errors


@pytest.mark.slow
def test_the_first_process_of_a_container_hears_the_signal_too(kit: Kit) -> None:
    namespace = ("unshare", "--pid", "--fork", "--kill-child")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process namespaces here")
    add_revision(kit, 'op.execute("SELECT pg_sleep(600)")')
    process = start(kit, *RAN, under=namespace)
    wait_for(kit, SLEEPING, 1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    subprocess.run(["kill", "-TERM", *children.split()], check=True)
    output, errors = process.communicate(timeout=180)
    assert (process.returncode, output) == (143, ""), errors
    wait_for(kit, SLEEPING, 0)


def test_containers_that_start_together_apply_everything_once(kit: Kit) -> None:
    kit.set_database("template0")
    processes = [start(kit, *RAN, env={"MIGRATION_WAIT": "2min"}) for _ in range(4)]
    told = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert [output for output, _ in told] == ["the command ran\n"] * 4
    assert sum(errors.count("Running upgrade") for _, errors in told) == 26
    assert kit.query("SELECT count(*), count(DISTINCT revision), count(ended_at) FROM dbkit_journal") == [(26, 26, 26)]
    assert version(kit) == [(SHOP_HEAD,)]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line]


def test_the_image_takes_what_exists_and_nothing_else() -> None:
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert copied
    assert all((REPOSITORY / source).exists() for source in copied)
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == {source.rstrip("/") for source in copied}


def test_the_image_has_locked_packages_and_a_user_who_is_not_root() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    locked, own = installs
    assert re.search(r"pip install --require-hashes .*-r lock/core\.txt -r lock/build\.txt", locked)
    assert "pip install --no-deps --no-build-isolation" in own
    assert [rest for name, rest in instructions() if name == "USER"] == ["10001:10001"]
    assert ("ENTRYPOINT", '["/app/scripts/docker-entrypoint.sh"]') in instructions()
    assert (REPOSITORY / "scripts/docker-entrypoint.sh").stat().st_mode & 0o111 == 0o111


def test_compose_starts_the_program_after_a_healthy_database() -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    assert "pg_isready" in services["db"]["healthcheck"]["test"]
    assert "ports" not in services["db"]
    for name in ("app", "migrate"):
        assert services[name]["depends_on"] == {"db": {"condition": "service_healthy"}}
        assert services[name]["environment"]["DB_PASSWORD"] == services["db"]["environment"]["POSTGRES_PASSWORD"]
    assert services["migrate"]["profiles"] == ["migrate"]
