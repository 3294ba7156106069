from uuid import UUID

from sqlalchemy import CHAR, ForeignKey, Index, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Id, TimestampNow


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[Id]
    public_id: Mapped[UUID] = mapped_column(
        Uuid, server_default=text("gen_random_uuid()"), unique=True, comment="Shown in URLs instead of the id."
    )
    email: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[TimestampNow]
    full_name: Mapped[str]

    addresses: Mapped[list["Address"]] = relationship(back_populates="customer", passive_deletes=True)


class Address(Base):
    __tablename__ = "addresses"
    __table_args__ = (
        Index("ix_addresses_one_default", "customer_id", unique=True, postgresql_where=text("is_default")),
    )

    id: Mapped[Id]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), index=True)
    recipient: Mapped[str | None]
    street: Mapped[str]
    city: Mapped[str]
    postcode: Mapped[str | None]
    country: Mapped[str] = mapped_column(CHAR(2), server_default="DE")
    is_default: Mapped[bool] = mapped_column(server_default=text("false"))

    customer: Mapped[Customer] = relationship(back_populates="addresses")
