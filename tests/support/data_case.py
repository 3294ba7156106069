"""The form of a case of the data battery: a few revisions, the verdict by hand, and rows that show that it is right."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.battery import revision_file
from support.plain import ENV, write_project


@dataclass(frozen=True)
class Step:
    """One revision. `up` and `down` are SQL statements, or made by `python`; `before` is code of the module."""

    up: str
    down: str = "python:pass"
    before: str = ""


@dataclass(frozen=True)
class DataCase:
    """A chain of revisions. The last one is judged."""

    name: str
    why: str
    """The reason for the verdict."""
    steps: tuple[Step, ...]
    witness: str
    """SQL that is run before the last revision. Of a fault: rows that do not come back. Of a control: rows that do."""
    words: tuple[str, ...] = ()
    """Of a fault: a correct finding has one of these."""
    helper: str = ""
    """The text of a module beside the settings file, which is called <name>_helper."""
    server: int = 13
    """The oldest major version of PostgreSQL that has the syntax."""
    fails: bool = False
    """Of a fault: whether the upgrade or the downgrade fails on the witness."""

    @property
    def is_fault(self) -> bool:
        """Whether rows are lost, or a step fails on them."""
        return bool(self.words)

    def revision(self, number: int) -> str:
        """Return the id of a step, counted from 1."""
        return f"{self.name}_{number}"

    @property
    def judged(self) -> str:
        """Return the id of the revision that is judged."""
        return self.revision(len(self.steps))

    @property
    def parent(self) -> str:
        """Return the id of the revision before it."""
        return self.revision(len(self.steps) - 1)


def fault(
    name: str,
    why: str,
    words: str,
    witness: str,
    *steps: Step,
    helper: str = "",
    server: int = 13,
    fails: bool = False,
) -> DataCase:
    """Make a case whose last revision loses rows, or fails on them; `words` are separated by |."""
    return DataCase(name, why, steps, witness, tuple(words.split("|")), helper, server, fails)


class CaseList(list[DataCase]):
    """Cases that are written one after the other."""

    def fault(self, *arguments: Any, **keywords: Any) -> None:
        """Add a fault, as the function `fault` makes it."""
        self.append(fault(*arguments, **keywords))

    def control(self, *arguments: Any, **keywords: Any) -> None:
        """Add a control, as the function `control` makes it."""
        self.append(control(*arguments, **keywords))


def control(name: str, why: str, witness: str, *steps: Step, helper: str = "", server: int = 13) -> DataCase:
    """Make a case whose last revision brings all rows back."""
    return DataCase(name, why, steps, witness, (), helper, server)


def python(body: str) -> str:
    """Make the body of upgrade() or downgrade() from lines of Python."""
    return "python:" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ").removeprefix("    ")


def table(name: str, columns: str) -> Step:
    """Make a revision that creates a table with a key `id` and these columns."""
    return Step(f"CREATE TABLE {name} (id serial PRIMARY KEY, {columns})", f"DROP TABLE {name}")


def write_cases(directory: Path, cases: Sequence[DataCase]) -> Path:
    """Write one project with the revisions of these cases, one case after the other. Returns its alembic.ini."""
    ini = write_project(directory, [], ENV)
    ini.write_text(ini.read_text() + "prepend_sys_path = %(here)s\npath_separator = newline\n")
    parent = None
    for case in cases:
        for number, step in enumerate(case.steps, 1):
            revision = case.revision(number)
            text = revision_file(revision, parent, case.name, step.up, step.down)
            text = text.replace("\n\n\ndef upgrade", f"\n{textwrap.dedent(step.before)}\n\ndef upgrade", 1)
            (directory / f"migrations/versions/{revision}.py").write_text(text)
            parent = revision
        if case.helper:
            (directory / f"{case.name}_helper.py").write_text(textwrap.dedent(case.helper))
    return ini
