"""Candidate values of a column: texts with which a condition may be true, and ones with which it may not."""

from dataclasses import dataclass, field
from functools import lru_cache

from sqlglot import exp

from dbkit.coverage import comparisons, containment, parts, subqueries
from dbkit.coverage.fit import fit, usual_values
from dbkit.coverage.solver import TRUTHS, Method, Solver
from dbkit.coverage.syntax import read_literal, read_plain, write_sql
from dbkit.coverage.variations import USUAL, vary_all
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.texts import merge_lists

MOST = 60
METHODS: dict[type, Method] = {**comparisons.METHODS, **containment.METHODS, **parts.METHODS, **subqueries.METHODS}


def find_candidates(kind: Type, column: str, atom: exp.Expr) -> list[str]:
    """Return values of a column with which a condition may be true, and ones next to them with which it may be false.

    They are texts in the input format of `kind`, the likeliest first; the server decides which of them satisfy it.
    """
    return list(_find(kind, column, _Condition(write_sql(atom), atom)))


@dataclass(frozen=True)
class _Condition:
    """A condition, which is equal to another one that has the same SQL."""

    sql: str
    atom: exp.Expr = field(compare=False)


@lru_cache(maxsize=2048)  # many goals of a statement share their conditions, and those of a CASE take long
def _find(kind: Type, column: str, condition: _Condition) -> tuple[str, ...]:
    atom = condition.atom
    literals = literals_in(atom)
    found = [value for text in _solve(kind, column, atom, literals) for value in fit(kind, text)]
    usual = usual_values(kind)
    rest = [value for text in vary_all(literals) for value in fit(kind, text)]
    first = list(dict.fromkeys(found))[: MOST - len(usual)]
    return tuple(dict.fromkeys([*first, *usual, *rest]))[:MOST]


def _solve(kind: Type, column: str, atom: exp.Expr, literals: list[str]) -> list[str]:
    try:
        plain = read_plain(atom)
        solver = Solver(kind, frozenset([column]), METHODS)
        targets = merge_lists([list(TRUTHS), vary_all(literals), list(USUAL)])
        return solver.solve(plain, targets)
    except Exception:  # whatever the expression is, its literals are candidates
        return []


def literals_in(expression: exp.Expr) -> list[str]:
    """Return the literals in an expression, each once, in their order."""
    found: dict[str, None] = {}
    negated = set()
    for node in expression.walk(bfs=False):
        text = None if id(node) in negated else read_literal(node)
        if text is not None:
            found[text] = None
            if isinstance(node, exp.Neg):
                negated.add(id(node.this))
    return list(found)
