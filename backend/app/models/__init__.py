"""Importing this package fills `Base.metadata` with every table of the shop."""

from app.models.base import Base
from app.models.customers import Address, Customer
from app.models.orders import Currency, Order, OrderLine, OrderStatus, Payment
from app.models.products import Price, Product
from app.models.stock import Stock, StockMovement

__all__ = [
    "Address",
    "Base",
    "Currency",
    "Customer",
    "Order",
    "OrderLine",
    "OrderStatus",
    "Payment",
    "Price",
    "Product",
    "Stock",
    "StockMovement",
]
