"""Queries on the syntax tree of Python."""

import ast

ENVIRONMENT_NAMES = {"context", "sys", "os", "platform"}
ENVIRONMENT = {
    "dialect", "inspect", "insp", "environ", "getenv", "get_x_argument", "get_context", "table_exists", "column_exists",
    "get_table_names", "get_columns", "get_indexes", "get_foreign_keys", "get_check_constraints", "get_enums",
    "get_unique_constraints", "get_pk_constraint", "get_view_names", "get_schema_names", "get_sequence_names",
    "app_env", "server_version_info",
}  # fmt: skip


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty for another expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def dotted_name(node: ast.expr) -> str:
    """Return a name with its parts; empty for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    owner = dotted_name(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{owner}.{node.attr}" if isinstance(node, ast.Attribute) and owner else ""


def target_names(target: ast.expr) -> list[str]:
    """Return the names that an assignment or a loop sets."""
    return [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]


def is_elif(node: ast.If) -> bool:
    """Whether the rest of an `if` is an `elif`, and not an `else`."""
    (first, *others) = node.orelse
    return isinstance(first, ast.If) and not others and first.col_offset == node.col_offset


def is_environment_check(node: ast.expr) -> bool:
    """Whether a condition asks for the mode, the server, the schema or the environment, and not for rows."""
    names = {each.id.lower() for each in ast.walk(node) if isinstance(each, ast.Name)}
    attributes = {each.attr.lower() for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return bool(names & ENVIRONMENT_NAMES) or any(
        name in ENVIRONMENT or name.startswith(("is_offline", "has_")) or "inspector" in name
        for name in names | attributes
    )
