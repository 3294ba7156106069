"""`dbkit explain`: the page of a finding."""

import difflib
from dataclasses import dataclass

from dbkit.errors import InputError
from dbkit.findings.rule_ids import SQUAWK, read_rule_ids
from dbkit.lint.rule_pages import read_page, read_summaries


@dataclass(frozen=True)
class ExplainOptions:
    """Options of `dbkit explain`."""

    identifier: str | None


def explain(options: ExplainOptions) -> None:
    """Print the page of a finding's id, or a list of all. Raises InputError for an unknown id."""
    identifier = options.identifier
    if identifier is None:
        width = max(map(len, read_rule_ids()))
        print("\n".join(f"{each:<{width}}  {rule.level:<7}  {rule.text}" for each, rule in read_summaries().items()))
    elif identifier.startswith(SQUAWK):
        rule = identifier.removeprefix(SQUAWK)
        print(f"{rule} is a rule of squawk: https://squawkhq.com/docs/{rule}")
    elif identifier not in read_rule_ids():
        near = difflib.get_close_matches(identifier, read_rule_ids(), n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`dbkit explain` lists them."
        raise InputError(f"there is no finding {identifier!r}.", hint)
    else:
        print(read_page(identifier))
