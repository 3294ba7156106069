"""Revisions after the shop's head."""

from pathlib import Path

from support.kit import SHOP_HEAD, Kit
from support.running import until

HEAD = SHOP_HEAD


def add_revision(kit: Kit, body: str, identifier: str = "0123456789ab") -> Path:
    """A revision after the head whose upgrade() is `body`, and whose downgrade() does nothing."""
    path = kit.path / "backend/alembic/versions" / f"20990101_000000_{identifier}_added.py"
    path.write_text(
        f'"""added"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{identifier}"\n'
        f'down_revision = "{HEAD}"\nbranch_labels = None\ndepends_on = None\n\n\n'
        f"def upgrade() -> None:\n    {body}\n\n\ndef downgrade() -> None:\n    pass\n"
    )
    return path


def wait_for(kit: Kit, query: str, count: int) -> None:
    until(lambda: kit.query(query) == [(count,)])
