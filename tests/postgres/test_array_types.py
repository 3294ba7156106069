"""An expression with an array that is cast is what it was when its text is parsed again."""

import psycopg
import pytest

from dbkit.drafts.array_types import keep_array_types
from dbkit.settings import Target

EXPRESSIONS = (
    "a IN ('x', 'y')",
    "a NOT IN ('it''s', 'y]::z[', NULL)",
    "a = ANY (ARRAY['x', 'y']::varchar(3)[])",
    "a IN (lower('x')::varchar, 'z') AND a IN ('p', 'q')",
    "a IN ('x', b::varchar)",
    "b IN ('x', 'y')",
    "d IN ('x', 'y')",
    "a LIKE ANY (ARRAY['x%', 'y%'])",
    "array_length(ARRAY[ARRAY['x', 'y'], ARRAY['z'::varchar, 'w']]::text[], 1) > 0",
    "ARRAY[a] && ARRAY['x'::varchar]",
    "(ARRAY[1, 2]::bigint[])[1] = 1",
    "a = 'ARRAY[1]::text[]'",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("is_pretty", [True, False])
def test_the_text_stays(database: Target, expression: str, is_pretty: bool) -> None:
    texts = [expression]
    with psycopg.connect(**database.parameters()) as connection:
        connection.execute("CREATE DOMAIN code AS varchar(9)")
        connection.execute("CREATE TABLE t (a varchar(9), b char(3), d code)")
        for _ in range(2):
            connection.execute("ALTER TABLE t DROP CONSTRAINT IF EXISTS c")
            connection.execute(f"ALTER TABLE t ADD CONSTRAINT c CHECK ({texts[-1]})".encode())
            query = "SELECT pg_get_expr(conbin, conrelid, %s) FROM pg_constraint WHERE conname = 'c'"
            ((text,),) = connection.execute(query, [is_pretty]).fetchall()
            texts.append(keep_array_types(text))
    assert texts[1] == texts[2]
