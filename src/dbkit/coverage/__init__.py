"""Which rows a migration's statements meet: their conditions, and the rows that satisfy them."""
