from datetime import date

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import DATERANGE, TSVECTOR, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Money, TimestampNow


class Product(Base):
    __tablename__ = "products"
    __table_args__ = (Index(None, "search", postgresql_using="gin"),)

    id: Mapped[Id]
    sku: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    created_at: Mapped[TimestampNow]
    search: Mapped[str] = mapped_column(TSVECTOR, Computed("to_tsvector('simple'::regconfig, name)", persisted=True))


class Price(Base):
    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount_not_negative"),
        CheckConstraint("NOT isempty(validity)", name="validity_not_empty"),
        ExcludeConstraint(
            (text("int8range(product_id, product_id, '[]')"), "&&"),
            ("validity", "&&"),
            using="gist",
            name="ex_prices_one_at_a_time",
        ),
        {"comment": "Price history: the price on a day is the row whose validity holds that day."},
    )

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"), index=True)
    amount: Mapped[Money] = mapped_column(comment="In EUR, without VAT.")
    validity: Mapped[Range[date]] = mapped_column(DATERANGE)
