"""The catalog queries, one module per kind of object: its SQL, and the function that turns the rows into facts."""
