"""Archives of a scratch cluster: its data directory as one file, from which another cluster begins."""

import hashlib
import os
import re
import subprocess
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from psycopg import sql

from dbkit.postgres.cluster import DATABASE, Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.process import program_environment

LEFT_OUT = ("postmaster.pid", "postmaster.opts")
SEGMENT = re.compile(r"[0-9A-F]{24}")
REDO = re.compile(rb"REDO WAL file:\s+([0-9A-F]{24})")
BLOCK = 1024 * 1024


def save_archive(cluster: Cluster, path: Path, database: str, others: Collection[str] = ()) -> str:
    """Stop a cluster, and write it to a new file with only these databases. Returns the digest of the file.

    `database` takes the place of the one that each cluster has. Raises OSError, and psycopg's errors.
    """
    _drop_others(cluster, {database, *others, cluster.maintenance.dbname})
    cluster.drop_database(DATABASE)
    cluster.rename_database(database, DATABASE)
    cluster.stop()
    segment = _find_segment(cluster)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        # as the account of the server: it could have put a link into the directory
        cluster.account.do(lambda: _pack(cluster.data, descriptor, segment))
    finally:
        os.close(descriptor)
    return digest_archive(path)


def restore_archive(cluster: Cluster, path: Path) -> None:
    """Create the data directory of a cluster that has none from an archive. Raises OSError."""
    unfinished = cluster.directory / f"data.new-{os.getpid()}"
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        cluster.account.do(lambda: _unpack(descriptor, unfinished))
    finally:
        os.close(descriptor)
    cluster.account.do(lambda: unfinished.rename(cluster.data))


def digest_archive(path: Path) -> str:
    """Return a digest of the content of a file. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def _drop_others(cluster: Cluster, names: Collection[str]) -> None:
    """Drop the databases of a cluster that are not to be archived; those that initdb has made stay."""
    with connect(cluster.maintenance, autocommit=True) as connection:
        query = "SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate AND datname <> ALL (%s)"
        for (name,) in connection.execute(query, [list(names)]).fetchall():
            if name != DATABASE:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _find_segment(cluster: Cluster) -> str:
    """Return the only file of the WAL that a server needs after it was stopped; "" where that is not known."""
    result = subprocess.run(
        [cluster.bindir / "pg_controldata", cluster.data],
        capture_output=True,
        check=False,
        env=program_environment(),
        cwd="/",
        **cluster.account.popen_options,  # type: ignore[call-overload]
    )
    found = REDO.search(result.stdout)
    return found[1].decode() if found else ""


def _pack(data: Path, descriptor: int, segment: str) -> None:
    def select(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = PurePosixPath(member.name)
        is_old = segment and name.parts[0] == "pg_wal" and SEGMENT.fullmatch(name.name) and name.name != segment
        return member if not is_old and (member.isreg() or member.isdir()) and name.name not in LEFT_OUT else None

    with (
        os.fdopen(descriptor, "wb", BLOCK, closefd=False) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in sorted(data.iterdir()):
            archive.add(path, path.name, filter=select)


def _unpack(descriptor: int, to: Path) -> None:
    """Write the files of an archive; it may only contain files and directories below the new directory."""
    to.mkdir(0o700)
    with os.fdopen(descriptor, "rb", BLOCK, closefd=False) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isreg() or member.isdir()):
                raise OSError(f"{name} does not belong into the archive of a cluster")
            if member.isdir():
                (to / name).mkdir(0o700, exist_ok=True)
                continue
            made = os.open(to / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(made, "wb", 0) as target:
                left = member.size
                file.seek(member.offset_data)
                while left:
                    block = file.read(min(left, BLOCK))
                    if not block:
                        raise OSError(f"the archive ends within {name}")
                    target.write(block)
                    left -= len(block)
