"""Drafts by the commands that people type: a change of the shop's models, from `make revision` to `make redo`."""

import re
from dataclasses import dataclass

import pytest

from support.kit import Kit


@dataclass(frozen=True)
class Edit:
    """A change of one of the shop's modules of models."""

    name: str
    module: str
    pattern: str
    replacement: str
    is_lossy: bool = False
    """Whether values are lost, so that the round trip does not prove it."""


EDITS = (
    Edit(
        "column comes",
        "orders",
        r"^    note: Mapped.*\n",
        '    note: Mapped[str | None]\n    channel: Mapped[str] = mapped_column(server_default="100% :web")\n',
    ),
    Edit("column goes", "orders", r"^    note: Mapped.*\n", "", is_lossy=True),
    Edit(
        "column is renamed",
        "customers",
        r"^    full_name: .*\n",
        '    whole_name: Mapped[str] = mapped_column(info={"renamed_from": "full_name"})\n',
    ),
    Edit(
        "type changes below a view",
        "orders",
        r"^    quantity: Mapped\[int\]",
        "    quantity: Mapped[int] = mapped_column(BigInteger)",
    ),
    Edit("label comes", "orders", r'^    RETURNED = "returned"\n', '    RETURNED = "returned"\n    LOST = "lost"\n'),
    Edit("check changes", "orders", r'"minor_units BETWEEN 0 AND 4"', '"minor_units BETWEEN 0 AND 8"'),
    Edit("reference changes", "orders", r'"customers\.id", ondelete="RESTRICT"', '"customers.id", ondelete="CASCADE"'),
    Edit(
        "unique comes",
        "products",
        r"^    name: Mapped\[str\]\n",
        "    name: Mapped[str]\n    ean: Mapped[str | None] = mapped_column(unique=True)\n",
    ),
    Edit(
        "index changes",
        "orders",
        r'Index\(None, "customer_id", "ordered_at"\)',
        'Index(None, "customer_id", text("ordered_at DESC"))',
    ),
    Edit(
        "generated column changes", "products", r"'simple'::regconfig, name", "'simple'::regconfig, sku || ' ' || name"
    ),
    Edit("default changes", "orders", r'server_default="EUR"', 'server_default="CHF"'),
    Edit("comment changes", "orders", r"a refund is negative\.", "a refund's is below 0 %."),
    Edit(
        "exclusion changes",
        "products",
        r'\("validity", "&&"\),\n',
        '("validity", "&&"),\n            where=text("amount > 0"),\n',
    ),
    Edit(
        "table comes",
        "orders",
        r"\Z",
        '\n\nclass Parcel(Base):\n    __tablename__ = "parcels"\n\n    id: Mapped[Id]\n    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)\n'
        '    size: Mapped[str] = mapped_column(Enum("s", "l", name="parcel_size"), server_default="s")\n',
    ),
)


@pytest.mark.spread(14)
@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_a_draft_is_right(kit: Kit, edit: Edit) -> None:
    path = kit.path / "backend/app/models" / f"{edit.module}.py"
    text, count = re.subn(edit.pattern, edit.replacement, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text.replace("from sqlalchemy import CHAR,", "from sqlalchemy import CHAR, BigInteger,"))
    files = kit.versions

    def type_make(*arguments: str) -> str:
        typed = kit.make(*arguments)
        assert typed.returncode == 0, typed.stdout + typed.stderr
        return typed.stdout + typed.stderr

    type_make("revision", "m=SHOP-41 a change")
    (draft,) = set(kit.versions) - set(files)
    type_make("migrate")
    assert "no changes found; no file was written" in type_make("revision", "m=again")
    assert set(kit.versions) == {*files, draft}
    type_make("schema")
    type_make("check")
    type_make("drift")
    assert kit.alembic("check").returncode == 0
    type_make("redo")
    proven = kit.dbkit("roundtrip", "--only", draft.name.split("_")[2])
    assert proven.returncode == (1 if edit.is_lossy else 0), proven.stdout
    if edit.is_lossy:
        assert "lossy" in proven.stdout


@pytest.mark.slow
def test_models_that_did_not_change_need_no_file(kit: Kit) -> None:
    files = kit.versions
    typed = kit.make("revision", "m=nothing")
    assert typed.returncode == 0, typed.stderr
    assert "no changes found; no file was written" in typed.stdout + typed.stderr
    assert kit.versions == files
