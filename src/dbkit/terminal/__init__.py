"""The terminal of a person: whether there is one, colours, tables, progress and questions. A pipe gets plain text."""
