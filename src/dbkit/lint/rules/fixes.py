"""Parts of the code that several rules suggest."""

AUTOCOMMIT_BLOCK = "with op.get_context().autocommit_block():\n    "


def update_in_batches(table: str) -> str:
    """Return code that updates a table in batches."""
    return (
        "from dbkit.backfill import backfill\n\n"
        "# in a separate revision: batches by key, each in a short transaction\n"
        f'backfill(op, "{table}", "…", where="…")'
    )
