"""Find Chromium, for the tests in tests/browser and for scripts/screenshots.py."""

import shutil

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
NOT_FOUND = f"none of {', '.join(PROGRAMS)} is on PATH: apt-get install chromium"


def find_chromium() -> str | None:
    """Return the path of the first program that is on PATH; None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)
