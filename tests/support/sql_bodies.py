"""Functions whose bodies are SQL: there are statements in them that are not the script's."""

SQL_BODIES = 14_00_00  # BEGIN ATOMIC came with this version
