"""Copies of a virtual environment."""

import os
import shutil
from pathlib import Path


def link_or_copy(source: str, to: str) -> None:
    """One file of a copy that nobody changes in place."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)


def move_venv(venv: Path, former: Path, now: Path) -> None:
    """Let a copied venv belong to the checkout `now`: its scripts, its settings and its stamp name their place."""
    editable = venv.glob("lib/python3*/site-packages/*dbkit*.pth")
    for path in (*(venv / "bin").iterdir(), *editable, venv / "pyvenv.cfg", venv / ".dbkit-stamp"):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if bytes(former) in content:
            mode = path.stat().st_mode
            path.unlink()  # it may be a hard link
            path.write_bytes(content.replace(bytes(former), bytes(now)))
            path.chmod(mode)
