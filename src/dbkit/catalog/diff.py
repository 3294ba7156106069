"""The differences between two sets of catalog facts."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbkit.catalog.facts import COLUMN_ORDER, INHERITED, Fact

SHOWN_WITH_DEFINITION = ("comment on ", "grants on ", "default privileges", "column settings")


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is in one state only (the other definition is None), or whose definitions differ."""

    fact: Fact
    before: str | None
    after: str | None

    @property
    def is_residue(self) -> bool:
        """Whether PostgreSQL cannot undo it: the order of columns, a value of an enum, a validated constraint."""
        if self.fact.kind == COLUMN_ORDER:
            return True
        if self.fact.kind in ("constraint", "column") and self.before is not None:
            return self.before == f"{self.after} NOT VALID"
        if self.fact.kind != "enum" or self.before is None or self.after is None:
            return False
        former, present = _labels(self.before), _labels(self.after)
        return [label for label in present if label in set(former)] == former

    def describe(self, only_after: str = "still there", only_before: str = "gone") -> str:
        """Describe it, such as "index ix_a on orders is still there"; in several lines for a definition of several."""
        verb = "are" if self.fact.kind.startswith(("grants", "default")) else "is"
        if self.before is None or self.after is None:
            side = only_after if self.before is None else only_before
            value = f": {self.after or self.before}" if self.fact.kind.startswith(SHOWN_WITH_DEFINITION) else ""
            return f"{self.fact} {verb} {side}{value}"
        if self.fact.kind == COLUMN_ORDER:
            return f"{self.fact}: {', '.join(_moved(_names(self.before), _names(self.after)))} elsewhere"
        if "\n" in self.before + self.after:
            lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
            changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
            return "\n  ".join([f"{self.fact} {verb} not the same (- was, + is):", *changed])
        return f"{self.fact}: was {self.before}, is {self.after}"


def compare_facts(before: Mapping[Fact, str], after: Mapping[Fact, str]) -> list[Difference]:
    """Return the differences, sorted by kind and name, without those that follow from another difference.

    A dropped table is one difference, not one for each of its columns, indexes and comments. A change that partitions
    and inheriting tables have from their parent is reported for the parent only.
    """
    changed = {
        fact: Difference(fact, before.get(fact), after.get(fact))
        for fact in before.keys() | after.keys()
        if before.get(fact) != after.get(fact)
    }
    causes = (difference for _, difference in sorted(changed.items()) if not _follows(difference, changed))
    return [difference for difference in causes if _is_reported(difference)]


def _labels(definition: str) -> list[str]:
    return re.findall(r"E?'(?:[^']|'')*'", definition)


def _names(definition: str) -> list[str]:
    return re.findall(r'"(?:[^"]|"")*"|[^,\s]+', definition)


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The names that have another place among the others."""
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    changed = [opcode for opcode in matcher.get_opcodes() if opcode[0] != "equal"]
    here = [name for _, _, _, first, end in changed for name in after[first:end]]
    gone = {name for _, first, end, _, _ in changed for name in before[first:end]}
    return [name for name in here if name in gone]


def _follows(difference: Difference, changed: Mapping[Fact, Difference]) -> bool:
    """Whether the difference of an object that this one belongs to includes it."""
    for owner in difference.fact.of:
        other = changed.get(owner)
        if other is None:
            continue
        if (difference.before is None and other.before is None) or (difference.after is None and other.after is None):
            return True
        if owner.kind == difference.fact.kind and _uninherited(difference) == _uninherited(other):
            return True
    return False


def _uninherited(difference: Difference) -> tuple[str | None, str | None]:
    before, after = difference.before, difference.after
    return before and before.removesuffix(INHERITED), after and after.removesuffix(INHERITED)


def _is_reported(difference: Difference) -> bool:
    """Whether it is more than a column that was added or dropped, which leaves the order of the others as it was."""
    if difference.fact.kind != COLUMN_ORDER:
        return True
    if difference.before is None or difference.after is None:
        return False
    before, after = _names(difference.before), _names(difference.after)
    return [name for name in before if name in after] != [name for name in after if name in before]
