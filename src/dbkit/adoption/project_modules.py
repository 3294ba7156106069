"""The modules of a project that its env.py imports: which of them connect to a database when they are imported."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbkit.adoption.executed import Code, executed

MOST_FILES = 500
"""So many files are read at most: a project with more is not searched to its end."""


class ProjectModules:
    """The modules below some directories, which are in the search path."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)
        self.searched: dict[Path, bool] = {}
        """By file, whether importing it connects."""

    def has(self, name: str) -> bool:
        """Whether a module of this name, without a dot, is the project's own."""
        return any((root / name).is_dir() or (root / f"{name}.py").is_file() for root in self.roots)

    def connects(self, statement: ast.stmt) -> bool:
        """Whether a statement imports a module of the project that connects to a database, itself or by its imports."""
        return any(self._connects(path) for path in self._files_of(statement, None))

    def exports(self, node: ast.AST, name: str) -> bool:
        """Whether a statement imports all names of a module of the project that mentions this one."""
        if not isinstance(node, ast.ImportFrom) or all(each.name != "*" for each in node.names):
            return False
        word = re.compile(rb"\b%s\b" % name.encode())
        return any(word.search(path.read_bytes()) for path in self._files_of(node, None))

    def _connects(self, path: Path) -> bool:
        if path in self.searched:
            return self.searched[path]
        if len(self.searched) >= MOST_FILES:
            return False
        self.searched[path] = False  # two modules may import each other
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return False
        code = Code(tree, "")
        found = any(map(code.connects, tree.body)) or any(
            self._connects(each)
            for node in executed(tree.body)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for each in self._files_of(node, path)
        )
        self.searched[path] = found
        return found

    def _files_of(self, node: ast.AST, importer: Path | None) -> Iterator[Path]:
        """Yield the files of the project that an import statement executes."""
        if isinstance(node, ast.Import):
            for each in node.names:
                yield from self._find(each.name.split("."), self.roots)
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            places = self.roots
            if node.level:
                if importer is None or len(importer.parents) < node.level:
                    return
                places = (importer.parents[node.level - 1],)
            yield from self._find(parts, places)
            for each in node.names:
                yield from self._find([*parts, each.name], places)

    @staticmethod
    def _find(parts: Sequence[str], places: Sequence[Path]) -> Iterator[Path]:
        """Yield the files of a module and of its packages, in the first place that has it."""
        for place in places:
            directory, found = place, []
            for part in parts:
                found += [
                    each for each in (directory / f"{part}.py", directory / part / "__init__.py") if each.is_file()
                ]
                directory /= part
            if found:
                yield from found
                return
