"""A file that the user names is written, and nothing else ever takes its place: a pipe, a device, a link, another owner."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit import files
from support.kit import Kit
from support.running import needs_root, others_slow

TEXT = "SELECT 1;\n" * 20_000  # more than a pipe holds


def reading(path: Path) -> Callable[[], str]:
    """Read a FIFO meanwhile; returns what waits for it."""
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(path.read_text()))
    reader.start()

    def result() -> str:
        reader.join(timeout=180)
        return found[0]

    return result


def test_a_fifo_is_written_to(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = reading(fifo)
    files.write_file(fifo, TEXT)
    assert read() == TEXT
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_a_pipe_is_written_to_by_the_number_that_proc_gives_it() -> None:
    reader, writer = os.pipe()
    for directory in ("/dev/fd", "/proc/self/fd"):
        files.write_file(Path(directory) / str(writer), "x")
        assert os.read(reader, 10) == b"x"
    os.close(reader)
    os.close(writer)


@needs_root
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    files.write_file(device, TEXT)
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


@pytest.mark.parametrize("existing", [True, False])
def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path, existing: bool) -> None:
    target, link, chain = tmp_path / "there/target", tmp_path / "link", tmp_path / "chain"
    target.parent.mkdir()
    if existing:
        target.write_text("former")
    link.symlink_to("there/target")
    chain.symlink_to(link)
    files.write_file(chain, TEXT)
    assert (chain.is_symlink(), link.is_symlink(), target.is_symlink()) == (True, True, False)
    assert target.read_text() == TEXT
    assert list(target.parent.iterdir()) == [target]


def test_a_file_keeps_its_mode_and_its_other_names(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("former")
    path.chmod(0o604)
    before = path.stat().st_ino
    files.write_file(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777, path.stat().st_ino != before) == ("new", 0o604, True)
    os.link(path, other)
    files.write_file(path, "newer")
    assert (path.read_text(), other.read_text()) == ("newer", "newer")


def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        files.write_file(tmp_path / ("ü" * 120), "x")
    finally:
        os.umask(former)
    assert (tmp_path / ("ü" * 120)).stat().st_mode & 0o777 == 0o640


@needs_root
def test_an_owner_stays_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 65534, 65534)
    files.write_file(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_text()) == (65534, 65534, "new")


AS_NOBODY = """
import os, sys
from pathlib import Path
from dbkit import files
os.setgroups([]); os.setgid(65534); os.setuid(65534)
files.write_file(Path(sys.argv[1]), "new")
"""


@needs_root
def test_a_file_in_a_directory_that_may_not_be_written_is_written_in_place(workspace: Path) -> None:
    directory = workspace / "others"
    directory.mkdir()
    ours, roots = directory / "ours", directory / "roots"
    for path in (ours, roots):
        path.write_text("former, and longer")
    os.chown(ours, 65534, 65534)

    def write(path: Path) -> "subprocess.CompletedProcess[str]":
        # the modules are loaded before it becomes somebody who may not read them
        command = [sys.executable, "-c", AS_NOBODY, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert write(ours).returncode == 0
    assert ours.read_text() == "new"
    directory.chmod(0o777)  # even then: who may not write to a file does not replace it
    assert "Permission denied" in write(roots).stderr
    assert roots.read_text() == "former, and longer"
    assert sorted(directory.iterdir()) == [ours, roots]


@pytest.mark.parametrize("out", others_slow(1, ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]))
def test_sql_writes_to_standard_output_by_any_of_its_names(kit: Kit, tmp_path: Path, out: str) -> None:
    """To a pipe, and to a file: there is nothing but the script in it."""
    plain = kit.dbkit("sql", "--from", "base", "--out", "-").stdout
    assert kit.dbkit("sql", "--from", "base", "--out", out).stdout == plain
    with (tmp_path / "script.sql").open("w") as file:
        file.write("-- before\n")
        file.flush()
        command = ["venv/bin/python", "-m", "dbkit", "sql", "--from", "base", "--out", out]
        subprocess.run(command, cwd=kit.path, env=kit.environment, stdout=file, check=True)
    assert (tmp_path / "script.sql").read_text() == f"-- before\n{plain}"


def test_sql_writes_to_a_fifo_and_says_so(kit: Kit, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = reading(fifo)
    typed = kit.dbkit("sql", "--from", "base", "--out", str(fifo))
    assert typed.stdout.startswith(f"Wrote {fifo}: ")
    assert read().startswith("\\set ON_ERROR_STOP on")
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


def test_head_and_a_rebased_revision_keep_their_links(kit: Kit, tmp_path: Path) -> None:
    head = kit.path / "backend/alembic/HEAD"
    elsewhere = head.rename(tmp_path / "HEAD")
    head.symlink_to(elsewhere)
    typed = kit.run("venv/bin/python", "-m", "dbkit.project.head_file", str(kit.versions[0]))
    assert typed.returncode == 0, typed.stderr
    assert head.is_symlink()
    assert elsewhere.read_text().startswith("c96d09ae7993")
