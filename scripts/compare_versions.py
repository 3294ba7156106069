"""Run the same commands with the package of an earlier commit and with this one, and compare what they print.

`python scripts/compare_versions.py REF [--project alembic.ini] [--words]`, from a checkout with its venv.

The commands are `roundtrip`, `lint` and `trace` in every format for machines, on the example shop, on the battery of
planted faults and on the dangers of tests/support, and on each `--project`. Compared are exit codes, the shape of the
documents, and every value in them but times. A text for people may have other words in another version: those are
counted, and shown with --words. Exit code 1: something else differs.
"""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from dbkit import settings  # noqa: E402
from dbkit.postgres import scratch_cluster  # noqa: E402
from support.battery import BATTERY, make_project  # noqa: E402
from support.dangers import chain_of_dangers  # noqa: E402
from support.plain import write_project  # noqa: E402

COMMANDS = (
    ("roundtrip", "--format", "json"),
    ("roundtrip", "--format", "junit"),
    ("roundtrip", "--format", "github"),
    ("lint", "--format", "json", "--level", "note"),
    ("lint", "--format", "sarif"),
    ("lint", "--format", "github"),
    ("trace", "--format", "json"),
)
TIMES = {"seconds", "time", "timestamp", "version"}
"""Fields that differ from run to run, and the kit's own version."""

UNORDERED = ".touched"
"""Lists whose order is the server's."""


@dataclass
class Comparison:
    """The differences of two documents."""

    differences: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def compare(self, old: Any, new: Any, place: str = "") -> None:
        """Compare two values, and note where they differ."""
        if isinstance(old, dict) and isinstance(new, dict):
            for name in sorted({*old, *new}):
                if name not in TIMES:
                    self.compare(old.get(name), new.get(name), f"{place}.{name}")
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            if place.endswith(UNORDERED):
                old, new = (sorted(each, key=lambda one: str(one.get("relation"))) for each in (old, new))
            for number, (one, other) in enumerate(zip(old, new, strict=True)):
                self.compare(one, other, f"{place}[{number}]")
        elif old != new:
            is_text = isinstance(old, str) and isinstance(new, str) and " " in old.strip() and " " in new.strip()
            (self.words if is_text else self.differences).append(f"{place}: {old!r} → {new!r}")


def unpack(reference: str, to: Path) -> Path:
    """Unpack the package of a commit. Returns the directory to import it from."""
    archive = subprocess.run(["git", "archive", reference], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as content:
        content.extractall(to, filter="data")
    (to / "alembic.ini").unlink()  # so that the package takes the current directory's
    return next(to / name for name in ("src", "scripts") if (to / name / "dbkit").is_dir())


def projects(directory: Path) -> Iterator[tuple[str, Path]]:
    """Projects by name, made in `directory`."""
    shop = directory / "shop"
    shutil.copytree(ROOT / "backend", shop / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", shop)
    yield "shop", shop / "alembic.ini"
    yield "battery", make_project(directory / "battery", BATTERY)
    yield "dangers", write_project(directory / "dangers", chain_of_dangers())


def parse(text: str, kind: str) -> Any:
    """Return the values in an output."""
    if kind in ("json", "sarif"):
        return json.loads(text) if text.strip() else None
    if kind == "junit":
        elements = ET.fromstring(text).iter() if text else ()  # noqa: S314
        return [{"tag": each.tag, "text": each.text, **each.attrib} for each in elements]
    return text.splitlines()


def run(package: Path, ini: Path, url: str, command: tuple[str, ...]) -> tuple[int, str]:
    """Run a verb. Returns its exit code and what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "APP_ENV")}
    result = subprocess.run(
        [sys.executable, "-m", "dbkit", command[0], "-c", str(ini), "--server", url, "--jobs", "1", *command[1:]],
        cwd=ini.parent,
        env={**kept, "PYTHONPATH": str(package), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # a name of a scratch database, and seconds in a text
    return result.returncode, re.sub(r"dbkit_[0-9a-f]{8,}\w*|\d+\.\d+ ?s\b", "…", result.stdout) or result.stderr


def main() -> int:
    """Compare, and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", metavar="REF", help="the earlier commit")
    parser.add_argument("--project", metavar="INI", type=Path, action="append", default=[], help="one more project")
    parser.add_argument("--words", action="store_true", help="show the texts that differ")
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        old = unpack(arguments.reference, directory / "old")
        with scratch_cluster.cluster(settings.load(directory, environ={})) as cluster:
            target = cluster.target("postgres")
            url = f"postgresql://{target.user}@/{target.dbname}?host={quote(str(target.host), safe='')}&port={target.port}"
            others = ((each.resolve().parent.name, each.resolve()) for each in arguments.project)
            for project, ini in (*projects(directory), *others):
                for command in COMMANDS:
                    results = [run(package, ini, url, command) for package in (old, ROOT / "src")]
                    comparison = Comparison()
                    comparison.compare(results[0][0], results[1][0], "exit code")
                    try:
                        values = [parse(text, command[2]) for _, text in results]
                    except (ValueError, ET.ParseError):
                        values = [text.splitlines() for _, text in results]
                    comparison.compare(values[0], values[1])
                    if results[1][0] not in (0, 1):
                        comparison.differences.append(f"not run: {results[1][1].strip()}")
                    failed = failed or bool(comparison.differences)
                    length = len(results[1][1])
                    print(
                        f"{project} {' '.join(command)}: exit {results[1][0]}, {length:,} characters, "
                        f"{len(comparison.differences)} differences, {len(comparison.words)} texts in other words",
                        flush=True,
                    )
                    for line in comparison.differences[:20] + (comparison.words if arguments.words else []):
                        print(f"    {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
