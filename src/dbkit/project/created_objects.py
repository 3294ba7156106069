"""Find out which tables and columns the revision files create, without running them."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from dbkit.project.created_by_upgrade import UpgradeReader
from dbkit.project.created_tables import CreatedTables


def read_created_tables(paths: Iterable[Path], default_schema: str) -> CreatedTables:
    """Read which tables the upgrades of the files create; the files are in the order in which they run."""
    tables = CreatedTables(default_schema)
    for path in paths:
        source = path.read_text(encoding="utf-8", errors="replace") if path.suffix == ".py" else ""
        upgrade = UpgradeReader(ast.parse(source), tables)
        upgrade.run()
        if upgrade.is_unclear:
            # it may have dropped any table that it names; a table of that name may belong to others now
            tables.forget([key for key in tables.columns if mentions(source, key[1])])
    return tables


def mentions(source: str, name: str) -> bool:
    """Whether a text contains a name as a whole word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source) is not None
