"""Paths of revision files in reports."""

import os
from pathlib import Path


def display_path(path: Path) -> str:
    """Return a path relative to the current directory, where it is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
