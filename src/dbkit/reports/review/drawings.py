"""The pictures on the page: the graph of the history, and the diagram of the tables that are touched."""

from collections.abc import Collection
from dataclasses import dataclass

from dbkit.catalog import Fact
from dbkit.pictures.history import History

MOST_TABLES = 150
"""The number of tables above which there is no diagram: `dbkit diagram` draws those of one revision."""


@dataclass(frozen=True)
class Drawings:
    """All that the pictures are made of."""

    history: History
    schema: tuple[tuple[Fact, str], ...]
    """The catalog after the last revision; empty where it is not known."""
    touched: Collection[str]
    """The tables to draw, with those that foreign keys connect them to."""

    def draw_history(self) -> str:
        """Return the graph as an <svg> element; "" for a project of one revision."""
        from dbkit.pictures.history_svg import history_svg

        return history_svg(self.history) if len(self.history.revisions) > 1 else ""

    def draw_tables(self) -> str:
        """Return the diagram as an <svg> element; "" where there is no table, or where there are too many."""
        from dbkit.pictures.diagram import from_catalog
        from dbkit.pictures.diagram_svg import diagram_svg  # it loads the layout

        diagram = from_catalog(dict(self.schema), self.touched, title="Tables that the migrations touch")
        return diagram_svg(diagram) if 0 < len(diagram.tables) <= MOST_TABLES else ""
