from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, TimestampNow


class Stock(Base):
    __tablename__ = "stock"
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity_not_negative"),
        {"comment": "What is on the shelf now; written by the trigger on stock_movements."},
    )

    product_id: Mapped[int] = mapped_column(
        ForeignKey("products.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    quantity: Mapped[int] = mapped_column(server_default=text("0"))


class StockMovement(Base):
    __tablename__ = "stock_movements"
    __table_args__ = (CheckConstraint("change <> 0", name="change_not_zero"),)

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="RESTRICT"), index=True)
    change: Mapped[int]
    reason: Mapped[str | None]
    moved_at: Mapped[TimestampNow]
