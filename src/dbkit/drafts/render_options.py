"""The options of `context.configure` on how a revision is written: render_item, and the prefixes of modules."""

import io
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alembic.autogenerate.api import AutogenContext

RenderItem = Callable[[str, Any, AutogenContext], Any]
SQLALCHEMY, ALEMBIC = "sa.", "op."
"""The prefixes in the code that the kit writes, which are Alembic's own."""
MODEL_TYPE = "dbkit_model_type"
"""The attribute of a type, and the key of `Column.info`, with the model's type, which render_item is asked about."""


@dataclass(frozen=True)
class RenderOptions:
    """How the code of a revision is written."""

    render_item: RenderItem | None = None
    user_prefix: str | None = None
    """That of types which are not SQLAlchemy's; with None, their module is imported."""
    sqlalchemy_prefix: str = SQLALCHEMY
    alembic_prefix: str = ALEMBIC
    is_batch: bool = False
    """Whether operations on a table are in `with op.batch_alter_table(…)`."""

    def replace_prefixes(self, code: str) -> str:
        """Write the project's prefixes in the place of the usual ones."""
        prefixes = {"sa": self.sqlalchemy_prefix, "op": self.alembic_prefix}
        if prefixes == {"sa": SQLALCHEMY, "op": ALEMBIC}:
            return code
        lines = code.splitlines(keepends=True)
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
        found = [
            (name.start, dot.end, prefixes[name.string])
            for before, name, dot in zip([None, *tokens], tokens, tokens[1:], strict=False)
            if name.type == tokenize.NAME and name.string in prefixes and dot.string == "."
            if before is None or before.string != "."
        ]
        for (row, start), (_, end), prefix in reversed(found):
            line = lines[row - 1]
            lines[row - 1] = f"{line[:start]}{prefix}{line[end:]}"
        return "".join(lines)


USUAL = RenderOptions()


def read_render_options(options: Mapping[str, Any]) -> RenderOptions:
    """Read them from the keywords of `context.configure`."""
    return RenderOptions(
        render_item=options.get("render_item"),
        user_prefix=options.get("user_module_prefix"),
        sqlalchemy_prefix=_or_usual(options.get("sqlalchemy_module_prefix"), SQLALCHEMY),
        alembic_prefix=_or_usual(options.get("alembic_module_prefix"), ALEMBIC),
        is_batch=bool(options.get("render_as_batch")),
    )


def _or_usual(prefix: str | None, usual: str) -> str:
    return usual if prefix is None else prefix
