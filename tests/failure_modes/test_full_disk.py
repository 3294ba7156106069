"""The disk of the server is full."""

import os
import subprocess
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from support.failure_modes import (
    TABLE,
    one_line,
)
from support.pair import Pair


def test_a_full_disk_is_named(pair: Pair, server: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        os.chown(place, server.account.uid, server.account.gid)
        for path in place.parents:
            if path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        pair.gated.query(f"CREATE TABLESPACE small LOCATION '{place}'")
        pair.write(
            TABLE,
            "op.execute('CREATE TABLE big TABLESPACE small AS SELECT repeat(md5(n::text), 99) FROM generate_series(1, 99999) n')",
        )
        typed = pair.gated.alembic("upgrade", "head")
        assert typed.returncode == 1
        assert "No space left on device" in one_line(typed.stderr)
        assert "; nothing of it was kept, the database is at rev1, and it is safe to run again." in typed.stderr
        assert "Free some space on the server's disk" in typed.stderr
        pair.gated.query("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", place], check=True)
