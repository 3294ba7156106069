from enum import StrEnum

from sqlalchemy import CHAR, CheckConstraint, Enum, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Id, Money, Timestamp, TimestampNow


class OrderStatus(StrEnum):
    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELLED = "cancelled"


class Currency(Base):
    __tablename__ = "currencies"
    __table_args__ = (CheckConstraint("minor_units BETWEEN 0 AND 4", name="minor_units_in_range"),)

    code: Mapped[str] = mapped_column(CHAR(3), primary_key=True)
    name: Mapped[str]
    minor_units: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("2"), comment="Digits after the decimal point: 2 for EUR, 0 for JPY."
    )


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (
        Index(None, "customer_id", "ordered_at"),
        Index(None, "reference", unique=True),
    )

    id: Mapped[Id]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="RESTRICT"))
    status: Mapped[OrderStatus] = mapped_column(
        Enum(OrderStatus, name="order_status", values_callable=lambda statuses: [status.value for status in statuses]),
        server_default=OrderStatus.PENDING.value,
    )
    currency: Mapped[str] = mapped_column(
        CHAR(3), ForeignKey("currencies.code", ondelete="RESTRICT"), server_default="EUR"
    )
    note: Mapped[str | None]
    ordered_at: Mapped[TimestampNow]
    reference: Mapped[str] = mapped_column(comment="What the customer quotes; never changes, unlike the status.")

    lines: Mapped[list["OrderLine"]] = relationship(passive_deletes=True, order_by="OrderLine.line_number")
    payments: Mapped[list["Payment"]] = relationship(passive_deletes="all")


class OrderLine(Base):
    __tablename__ = "order_lines"
    __table_args__ = (
        UniqueConstraint("order_id", "line_number"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("unit_price >= 0", name="unit_price_not_negative"),
    )

    id: Mapped[Id]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    line_number: Mapped[int] = mapped_column(SmallInteger)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="RESTRICT"), index=True)
    quantity: Mapped[int]
    unit_price: Mapped[Money] = mapped_column(
        comment="As agreed when ordered, in the order's currency; not the list price."
    )


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount_not_zero"),
        CheckConstraint("method IN ('card', 'transfer', 'voucher')", name="method_known"),
    )

    id: Mapped[Id]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"), index=True)
    amount: Mapped[Money] = mapped_column(comment="In the order's currency; a refund is negative.")
    method: Mapped[str] = mapped_column(server_default="card")
    received_at: Mapped[Timestamp | None]
