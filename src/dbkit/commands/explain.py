"""`dbkit explain`: the page of a finding."""

import difflib

from dbkit.errors import InputError
from dbkit.findings.rule_ids import SQUAWK, read_rule_ids
from dbkit.lint.rule_pages import read_page, read_summaries


def explain(*, identifier: str | None = None) -> None:
    """Print the page of a finding's id, or a list of all. Raises InputError for one that there is not."""
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
