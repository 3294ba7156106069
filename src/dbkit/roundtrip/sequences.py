"""Find sequences that a migration has made and that are behind the keys of their column: the next INSERT fails."""

from collections.abc import Collection, Iterator
from typing import Any

import psycopg

from dbkit.postgres.prepared_queries import read_prepared
from dbkit.postgres.sql_quote import quote_literal
from dbkit.roundtrip.row_snapshot import RowDifference

OWNED = """
SELECT n.nspname, c.relname, a.attname, pg_catalog.format('%I.%I', n.nspname, c.relname),
    pg_catalog.format('%I', a.attname), s.relname, q.seqincrement, q.seqmax,
    (SELECT pg_catalog.format('%I.%I', sn.nspname, s.relname) FROM pg_catalog.pg_namespace AS sn
        WHERE sn.oid OPERATOR(pg_catalog.=) s.relnamespace)
FROM pg_catalog.pg_class AS s
JOIN pg_catalog.pg_sequence AS q ON q.seqrelid OPERATOR(pg_catalog.=) s.oid
JOIN pg_catalog.pg_depend AS d ON d.objid OPERATOR(pg_catalog.=) s.oid
    AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.deptype::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog.text[])
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) d.refobjid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_attribute AS a
    ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.=) d.refobjsubid
WHERE s.oid OPERATOR(pg_catalog.=) ANY ($1)
    AND EXISTS (SELECT FROM pg_catalog.pg_index AS x WHERE x.indrelid OPERATOR(pg_catalog.=) c.oid AND x.indisunique
        AND x.indkey::pg_catalog.text OPERATOR(pg_catalog.=) a.attnum::pg_catalog.text)
"""


def find_sequences_behind(
    connection: "psycopg.Connection[Any]", oids: Collection[int], tables: Collection[str]
) -> Iterator[RowDifference]:
    """Yield the unique columns with keys that the sequence of the column will give out again.

    `oids`: those of new relations; only sequences among them are examined, and of them those of these tables (as SQL).
    """
    if not oids:
        return
    (found,) = read_prepared(connection, [OWNED], oids)
    for schema, table, column, table_sql, column_sql, sequence, increment, most, sequence_sql in found:
        if table_sql not in tables:
            continue
        state = connection.execute(f"SELECT last_value, is_called FROM {sequence_sql}".encode())  # noqa: S608
        ((last, is_called),) = state.fetchall()
        following = last + increment if is_called else last
        is_ahead = (
            f"{column_sql} OPERATOR(pg_catalog.>=) {quote_literal(following)}"
            f" AND {column_sql} OPERATOR(pg_catalog.<=) {quote_literal(most)}"
        )
        query = (
            f"SELECT pg_catalog.count(*) FILTER (WHERE {is_ahead}), "  # noqa: S608
            f"pg_catalog.count({column_sql}) FROM {table_sql}"
        )
        ((ahead, number),) = connection.execute(query.encode()).fetchall()
        if ahead and increment > 0:
            name = table if schema == "public" else f"{schema}.{table}"
            reason = f"the next INSERT draws {following} from {sequence}, and will meet a key that exists"
            yield RowDifference(name, column, "ahead of its sequence", ahead, number, reason)
