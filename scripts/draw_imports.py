"""Write the rooms of the package, and their imports as a drawing, into docs/architecture.md. `--check` only compares.

    python scripts/draw_imports.py [--check]

A room is a package or a module directly below src/dbkit. Read from the source with `ast`, nothing is imported.
"""

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/dbkit"
PAGE = ROOT / "docs/architecture.md"
NAMED = re.compile(r"dbkit\.([a-z_.]+)\.")
Graph = dict[str, set[str]]


def read_modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the modules of the package by dotted name, without the package's own: `gate.run`, `errors`, `__init__`."""
    paths = {path.relative_to(package).with_suffix("").parts: path for path in sorted(package.rglob("*.py"))}
    return {".".join(name).removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = read_modules()


def read_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this package that a module imports, also within a function or by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "dbkit":
            package = node.module.partition(".")[2]
            for alias in node.names:
                name = f"{package}.{alias.name}".lstrip(".")
                yield name if name in MODULES else package or "__init__"
        # import_module(f"dbkit.commands.{module}"): any module of the package
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            named = NAMED.match(ast.unparse(node.args[0]).lstrip("f'\""))
            if named:
                yield named[1]


def read_rooms() -> Graph:
    """Return the rooms, each with those that it imports from."""
    rooms: Graph = {}
    for module, path in MODULES.items():
        room = module.partition(".")[0]
        rooms.setdefault(room, set()).update(name.partition(".")[0] for name in read_imports(path))
    # every module has the package's version and public names, and few import them
    rooms.pop("__init__", None)
    return {room: imported - {room, "__init__"} for room, imported in rooms.items()}


def find_levels(rooms: Graph) -> dict[str, int]:
    """Return each room's height: 0 for one that imports nothing, else one more than the highest that it imports."""
    levels: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        levels[room] = 1 + max((levels[imported] for imported in rooms[room]), default=-1)
    return levels


def reduce_imports(rooms: Graph) -> Graph:
    """Leave out each import that a longer way through other rooms implies."""
    reachable: Graph = {}
    for room in TopologicalSorter(rooms).static_order():
        reachable[room] = rooms[room].union(*(reachable[imported] for imported in rooms[room]))
    return {
        room: {name for name in imported if not any(name in reachable[other] for other in imported)}
        for room, imported in rooms.items()
    }


def describe(room: str) -> str:
    """Return the first line of the room's docstring."""
    docstring = ast.get_docstring(ast.parse(MODULES[room].read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".:")


def draw() -> str:
    """Return the table of rooms and the Mermaid drawing of their imports, from the top down."""
    rooms = read_rooms()
    levels = find_levels(rooms)
    order = sorted(rooms, key=lambda room: (-levels[room], room))
    kept = reduce_imports(rooms)
    table = [f"| {levels[room]} | `{room}` | {describe(room)} |" for room in order]
    nodes = [f'    {_node(room)}["{room}"]' for room in order]
    arrows = [f"    {_node(room)} --> {_node(imported)}" for room in order for imported in sorted(kept[room])]
    return "\n".join(
        [
            *("| Level | Room | What it is for |", "|---|---|---|", *table, ""),
            *("```mermaid", "graph TD", *nodes, *arrows, "```"),
        ]
    )


def _node(room: str) -> str:
    return f"room_{room.strip('_')}"


def replace_section(text: str, name: str, section: str) -> str:
    """Return the page with `section` between the markers `<!-- name: begin -->` and `<!-- name: end -->`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, _, rest = text.partition(begin)
    return f"{head}{begin}\n{section}\n{end}{rest.partition(end)[2]}"


def main() -> int:
    """Write the page, or with --check return 1 where it is not up to date."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = replace_section(text, "rooms", draw())
    if text == wanted:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.relative_to(ROOT)} does not show the current imports. Write it: python scripts/draw_imports.py")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
