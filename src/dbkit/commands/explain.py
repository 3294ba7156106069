"""`dbkit explain`: the page of a finding."""

import difflib
from dataclasses import dataclass

from dbkit.errors import InputError
from dbkit.findings.rule_ids import RULES, SQUAWK
from dbkit.lint.rule_pages import page


@dataclass(frozen=True)
class ExplainOptions:
    """Options of `dbkit explain`."""

    identifier: str | None


def explain(options: ExplainOptions) -> None:
    """Print the page of a finding's id, or a list of all. Raises InputError for an unknown id."""
    identifier = options.identifier
    if identifier is None:
        width = max(map(len, RULES))
        print("\n".join(f"{each:<{width}}  {rule.level:<7}  {rule.about}" for each, rule in RULES.items()))
    elif identifier.startswith(SQUAWK):
        rule = identifier.removeprefix(SQUAWK)
        print(f"{rule} is a rule of squawk: https://squawkhq.com/docs/{rule}")
    elif identifier not in RULES:
        near = difflib.get_close_matches(identifier, RULES, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`dbkit explain` lists them."
        raise InputError(f"there is no finding {identifier!r}.", hint)
    else:
        print(page(identifier))
