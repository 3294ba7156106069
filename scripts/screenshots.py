"""Make the pictures of docs/pictures: the review page of the example, in light and dark, as Chromium shows it.

    python scripts/screenshots.py

It needs playwright (the dependency group `browser`) and Chromium.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import NOT_FOUND, find_chromium
from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]  # of the group browser

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/pictures"
LARGEST = 150_000
WIDTH, HEIGHT = 1080, 880
REVISION = "3ef0538ba411"
"""One with locks and accepted findings."""
IS_SCROLLED = """id => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
    const header = document.querySelector("header").getBoundingClientRect();
    const top = document.getElementById(id).getBoundingClientRect().top - header.bottom;
    done(header.top === 0 && 0 <= top && top < 100); })))"""
MOST_WAITS = 100


def main() -> int:
    """Write the page, open it, and take the pictures. Returns 1 where one is too large, 2 without Chromium."""
    program = find_chromium()
    if program is None:
        print(NOT_FOUND, file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        page_file = Path(directory, "page.html")
        subprocess.run([sys.executable, "-m", "dbkit", "report", "--output", f"html={page_file}"], cwd=ROOT, check=True)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            size = {"width": WIDTH, "height": HEIGHT}
            page = browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce").new_page()
            page.goto(f"{page_file.as_uri()}#rev-{REVISION}")
            # not by wait_for_function: it asks again by eval(), which the page forbids
            if not any(page.evaluate(IS_SCROLLED, f"rev-{REVISION}") for _ in range(MOST_WAITS)):
                raise RuntimeError("the page has not scrolled to the revision")
            page.screenshot(path=PICTURES / f"review-{scheme}.png")
        browser.close()
    large = [path for path in PICTURES.glob("review-*.png") if path.stat().st_size > LARGEST]
    print(*(f"{path.relative_to(ROOT)} is larger than {LARGEST} bytes" for path in large), sep="\n")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
