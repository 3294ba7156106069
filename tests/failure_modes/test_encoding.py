"""A database of another encoding."""

from dataclasses import replace

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_quote import quote_ident
from support.failure_modes import TABLE
from support.pair import Pair


def test_a_database_of_another_encoding(pair: Pair, server: Cluster) -> None:
    pair.write(TABLE)
    (pair.gated.versions / "rev1.py").rename(pair.gated.versions / "rev1_größe_\u4e2d.py")
    name = quote_ident(f"latin_{pair.gated.target.dbname}")
    pair.gated.query(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    latin = replace(pair.gated, target=server.target(f"latin_{pair.gated.target.dbname}"))
    typed = latin.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert latin.query("SELECT file FROM dbkit_journal") == [("rev1_gr\\xf6\\xdfe_\\u4e2d.py",)]
