"""The SQL statements in DO blocks and in bodies of functions, each as a statement that is complete by itself."""

import pytest
import sqlglot
from sqlglot import exp

from dbkit.coverage.function_bodies import FunctionBody, TriggerBody
from dbkit.coverage.plpgsql import inner_statements, trigger_statements

FUNCTIONS = {
    each.name: each
    for each in [
        FunctionBody("close_all", (), "sql", "UPDATE t SET state = 'closed' WHERE state = 'open'; DELETE FROM u WHERE t_id = 0"),
        FunctionBody("close_one", ("p_id", "p_state"), "sql", "UPDATE t SET state = p_state WHERE id = p_id"),
        FunctionBody("by_number", ("", ""), "sql", "DELETE FROM t WHERE id = $1 AND kind = $2"),
        FunctionBody("by_own_name", ("id",), "plpgsql", "BEGIN DELETE FROM t WHERE t.id = by_own_name.id AND kind = 'x'; END"),
        FunctionBody("renumber", ("p_kind",), "plpgsql", "DECLARE k text := upper(p_kind); BEGIN UPDATE t SET n = 1 WHERE kind = k; RETURN; END"),
        FunctionBody("listed", ("p_kind",), "plpgsql", "BEGIN RETURN QUERY SELECT id FROM t WHERE kind = p_kind; END"),
        FunctionBody("outer_one", ("p",), "plpgsql", "BEGIN PERFORM close_one(p, 'seen'); END"),
        FunctionBody("forever", ("p",), "plpgsql", "BEGIN DELETE FROM t WHERE id = p; PERFORM forever(p); END"),
        FunctionBody("in_python", ("p",), "plpython3u", "plpy.execute('DELETE FROM t')"),
        FunctionBody("array_append", ("p_a", "p_b"), "sql", "DELETE FROM t WHERE a = p_a AND b = p_b"),
        FunctionBody("aliased", ("",), "plpgsql", "DECLARE wanted ALIAS FOR $1; BEGIN DELETE FROM t WHERE kind = wanted; END"),
    ]
}  # fmt: skip
R = "(SELECT id, code FROM t WHERE kind = 'x') AS r"
QUERY = "SELECT id, code FROM t WHERE kind = 'x'"


def in_loop(statements: str) -> str:
    return f"DECLARE r record; BEGIN FOR r IN {QUERY} LOOP {statements} END LOOP; END"


BLOCKS = {
    "one statement": ("BEGIN UPDATE t SET a = 1 WHERE b = 2; END", ["UPDATE t SET a = 1 WHERE b = 2"]),
    "several statements": (
        "BEGIN UPDATE t SET a = 1 WHERE b = 2; DELETE FROM u WHERE c LIKE 'x;%'; INSERT INTO w (a) VALUES (1); END;",
        ["UPDATE t SET a = 1 WHERE b = 2", "DELETE FROM u WHERE c LIKE 'x;%'", "INSERT INTO w (a) VALUES (1)"],
    ),
    "comments": (
        "BEGIN -- UPDATE t SET a = 0;\n UPDATE t /* ; END */ SET a = 1 -- b\n WHERE b = 2; END",
        ["UPDATE t SET a = 1 WHERE b = 2"],
    ),
    "a condition on the row of a loop": (
        in_loop("IF r.code LIKE 'A%' THEN UPDATE u SET v = 1 WHERE u.t_id = r.id AND u.w = 3; END IF;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE r.code LIKE 'A%'",
         f"UPDATE u SET v = 1 FROM {R} WHERE (u.t_id = r.id AND u.w = 3) AND (r.code LIKE 'A%')"],
    ),
    "a loop whose row the statement does not use": (
        in_loop("UPDATE u SET v = 1 WHERE w = 'y';"),
        [QUERY, f"UPDATE u SET v = 1 FROM {R} WHERE w = 'y'"],
    ),
    "else": (
        in_loop("IF r.code = 'a' THEN DELETE FROM u WHERE t_id = r.id; ELSIF r.code = 'b' THEN DELETE FROM w WHERE t_id = r.id; ELSE DELETE FROM x; END IF;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE r.code = 'a'", f"DELETE FROM u USING {R} WHERE t_id = r.id AND r.code = 'a'",
         f"SELECT 1 FROM {R} WHERE NOT r.code = 'a' AND r.code = 'b'",
         f"DELETE FROM w USING {R} WHERE t_id = r.id AND NOT r.code = 'a' AND r.code = 'b'",
         f"DELETE FROM x USING {R} WHERE NOT r.code = 'a' AND NOT r.code = 'b'"],
    ),
    "if exists": (
        "BEGIN IF EXISTS (SELECT 1 FROM t WHERE kind = 'x') THEN UPDATE u SET v = 1 WHERE w = 2; END IF; END",
        ["SELECT 1 WHERE EXISTS(SELECT 1 FROM t WHERE kind = 'x')",
         "UPDATE u SET v = 1 WHERE w = 2 AND EXISTS(SELECT 1 FROM t WHERE kind = 'x')"],
    ),
    "a return before the statement": (
        "BEGIN IF NOT EXISTS (SELECT FROM t WHERE kind = 'x') THEN RETURN; END IF; UPDATE u SET v = 1; END",
        ["SELECT 1 WHERE NOT EXISTS(SELECT FROM t WHERE kind = 'x')", "UPDATE u SET v = 1 WHERE EXISTS(SELECT FROM t WHERE kind = 'x')"],
    ),
    "an exception before the statement": (
        "BEGIN IF EXISTS (SELECT FROM t WHERE n < 0) THEN RAISE EXCEPTION 'no: %', 1 USING ERRCODE = 'P0001'; END IF; DELETE FROM u; END",
        ["SELECT 1 WHERE EXISTS(SELECT FROM t WHERE n < 0)", "DELETE FROM u WHERE NOT EXISTS(SELECT FROM t WHERE n < 0)"],
    ),
    "a notice ends nothing": (
        "BEGIN IF EXISTS (SELECT FROM t WHERE n < 0) THEN RAISE NOTICE 'no'; END IF; DELETE FROM u; END",
        ["SELECT 1 WHERE EXISTS(SELECT FROM t WHERE n < 0)", "DELETE FROM u"],
    ),
    "select into a scalar": (
        "DECLARE x int; BEGIN SELECT id INTO x FROM t WHERE code = 'a'; UPDATE u SET v = 1 WHERE t_id = x; END",
        ["SELECT id FROM t WHERE code = 'a'", "UPDATE u SET v = 1 WHERE t_id = (SELECT id FROM t WHERE code = 'a')"],
    ),
    "select into strict": (
        "DECLARE x int; BEGIN SELECT id INTO STRICT x FROM t WHERE code = 'a'; DELETE FROM u WHERE t_id = x; END",
        ["SELECT id FROM t WHERE code = 'a'", "DELETE FROM u WHERE t_id = (SELECT id FROM t WHERE code = 'a')"],
    ),
    "into at the end": (
        "DECLARE x int; y text; BEGIN SELECT id, name FROM t WHERE code = 'a' INTO x, y; DELETE FROM u WHERE t_id = x AND name = y; END",
        ["SELECT id, name FROM t WHERE code = 'a'",
         "DELETE FROM u WHERE t_id = (SELECT id FROM t WHERE code = 'a') AND name = (SELECT name FROM t WHERE code = 'a')"],
    ),
    "into a record": (
        "DECLARE q record; BEGIN SELECT * INTO q FROM t WHERE code = 'a'; UPDATE u SET v = q.n WHERE t_id = q.id; DELETE FROM w; END",
        ["SELECT * FROM t WHERE code = 'a'", "UPDATE u SET v = q.n FROM (SELECT * FROM t WHERE code = 'a') AS q WHERE u.t_id = q.id", "DELETE FROM w"],
    ),
    "into a row of a table": (
        "DECLARE q t%ROWTYPE; BEGIN SELECT * INTO q FROM t WHERE code = 'a'; IF q.n > 3 THEN DELETE FROM w; END IF; END",
        ["SELECT * FROM t WHERE code = 'a'", "SELECT 1 FROM (SELECT * FROM t WHERE code = 'a') AS q WHERE q.n > 3",
         "DELETE FROM w USING (SELECT * FROM t WHERE code = 'a') AS q WHERE q.n > 3"],
    ),
    "declared constants": (
        "DECLARE a CONSTANT text := 'sent'; b int DEFAULT 3; c int = 4; BEGIN UPDATE t SET n = b WHERE state = a AND m > c; END",
        ["UPDATE t SET n = 3 WHERE state = 'sent' AND m > 4"],
    ),
    "an assignment": (
        "DECLARE a text; b numeric(10, 2) NOT NULL := 0; BEGIN a := 'sent'; b = 7; UPDATE t SET a = 1 WHERE state = a AND n = b; END",
        ["UPDATE t SET a = 1 WHERE state = 'sent' AND n = 7"],
    ),
    "an assigned query": (
        "DECLARE n int := (SELECT max(id) FROM t); BEGIN DELETE FROM t WHERE id < n; END",
        ["SELECT (SELECT MAX(id) FROM t)", "DELETE FROM t WHERE id < (SELECT MAX(id) FROM t)"],
    ),
    "an assignment in each branch": (
        "DECLARE a text; BEGIN IF EXISTS (SELECT FROM t) THEN a := 'x'; ELSE a := 'y'; END IF; DELETE FROM u WHERE kind = a; END",
        ["SELECT 1 WHERE EXISTS(SELECT FROM t)", "DELETE FROM u WHERE kind = CASE WHEN EXISTS(SELECT FROM t) THEN 'x' ELSE 'y' END"],
    ),
    "an unknown variable keeps its name": (
        "DECLARE a text; BEGIN DELETE FROM u WHERE kind = a; END", ["DELETE FROM u WHERE kind = a"],
    ),
    "perform": ("BEGIN PERFORM 1 FROM t WHERE kind = 'x'; END", ["SELECT 1 FROM t WHERE kind = 'x'"]),
    "found": (
        "BEGIN PERFORM 1 FROM t WHERE kind = 'x'; IF FOUND THEN DELETE FROM u; ELSE DELETE FROM w; END IF; END",
        ["SELECT 1 FROM t WHERE kind = 'x'", "SELECT 1 WHERE EXISTS(SELECT 1 FROM t WHERE kind = 'x')",
         "DELETE FROM u WHERE EXISTS(SELECT 1 FROM t WHERE kind = 'x')", "DELETE FROM w WHERE NOT EXISTS(SELECT 1 FROM t WHERE kind = 'x')"],
    ),
    "found after an update": (
        "BEGIN UPDATE t SET a = 1 WHERE b = 2; IF NOT FOUND THEN INSERT INTO t (a, b) VALUES (1, 2); END IF; END",
        ["UPDATE t SET a = 1 WHERE b = 2", "SELECT 1 WHERE NOT EXISTS(SELECT 1 FROM t WHERE b = 2)",
         "INSERT INTO t (a, b) SELECT 1, 2 WHERE NOT EXISTS(SELECT 1 FROM t WHERE b = 2)"],
    ),
    "row count": (
        "DECLARE n int; BEGIN DELETE FROM t WHERE b = 2; GET DIAGNOSTICS n = ROW_COUNT; IF n > 5 THEN DELETE FROM u; END IF; END",
        ["DELETE FROM t WHERE b = 2", "SELECT 1 WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM t WHERE b = 2) AS counted) > 5",
         "DELETE FROM u WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM t WHERE b = 2) AS counted) > 5"],
    ),
    "execute": ("BEGIN EXECUTE 'UPDATE t SET a = 1 WHERE b = ''x'''; END", ["UPDATE t SET a = 1 WHERE b = 'x'"]),
    "execute in dollar quotes": ("BEGIN EXECUTE $q$DELETE FROM t WHERE b = 'x'$q$; END", ["DELETE FROM t WHERE b = 'x'"]),
    "execute with values": (
        "DECLARE v text := 'x'; BEGIN EXECUTE 'DELETE FROM t WHERE b = $1 AND c > $2' USING v, 5; END", ["DELETE FROM t WHERE b = 'x' AND c > 5"],
    ),
    "execute format": (
        "DECLARE tab text := 'Big t'; BEGIN EXECUTE format('UPDATE %I SET a = %L WHERE b = %s', tab, 'it''s', 3); END",
        ["UPDATE \"Big t\" SET a = 'it''s' WHERE b = 3"],
    ),
    "execute format by position": (
        "BEGIN EXECUTE format('UPDATE %1$I SET a = %2$L WHERE b <> %2$L', 't', 'v'); END", ['UPDATE "t" SET a = \'v\' WHERE b <> \'v\''],
    ),
    "execute format with the row of a loop": (
        in_loop("EXECUTE format('UPDATE u SET v = %L WHERE t_id = %s', r.code, r.id);"),
        [QUERY, f"UPDATE u SET v = (r.code) FROM {R} WHERE t_id = (r.id)"],
    ),
    "execute of a concatenation": (
        "DECLARE tab text := 't'; r record; BEGIN FOR r IN SELECT id, code FROM t WHERE kind = 'x' LOOP "
        "EXECUTE 'DELETE FROM ' || quote_ident(tab) || ' WHERE a = ' || quote_literal(r.code) || ' AND b = ''' || r.id || ''''; END LOOP; END",
        [QUERY, f'DELETE FROM "t" USING {R} WHERE a = (r.code) AND b = (r.id)'],
    ),
    "execute of an unknown table": (
        "DECLARE r record; BEGIN FOR r IN SELECT tablename FROM pg_tables LOOP EXECUTE format('DELETE FROM %I', r.tablename); END LOOP; END",
        ["SELECT tablename FROM pg_tables"],
    ),
    "execute into": (
        "DECLARE n int; BEGIN EXECUTE 'SELECT max(id) FROM t WHERE k = $1' INTO n USING 'x'; DELETE FROM u WHERE id > n; END",
        ["SELECT MAX(id) FROM t WHERE k = 'x'", "DELETE FROM u WHERE id > (SELECT MAX(id) FROM t WHERE k = 'x')"],
    ),
    "a loop over execute": (
        "DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT id FROM t WHERE k = $1' USING 'x' LOOP DELETE FROM u WHERE t_id = r.id; END LOOP; END",
        ["SELECT id FROM t WHERE k = 'x'", "DELETE FROM u USING (SELECT id FROM t WHERE k = 'x') AS r WHERE t_id = r.id"],
    ),
    "a loop over numbers": (
        "BEGIN FOR i IN 1..10 LOOP UPDATE t SET a = 1 WHERE bucket = i; END LOOP; END",
        ["UPDATE t SET a = 1 FROM (SELECT GENERATE_SERIES(1, 10) AS i) AS i WHERE bucket = i.i"],
    ),
    "a loop over numbers downwards": (
        "BEGIN FOR i IN REVERSE 10..1 BY 2 LOOP UPDATE t SET a = 1 WHERE bucket = i; END LOOP; END",
        ["UPDATE t SET a = 1 FROM (SELECT GENERATE_SERIES(1, 10) AS i) AS i WHERE bucket = i.i"],
    ),
    "a loop over a constant array": (
        "DECLARE tab text; BEGIN FOREACH tab IN ARRAY ARRAY['t', 'u'] LOOP EXECUTE format('DELETE FROM %I WHERE kind = ''x''', tab); END LOOP; END",
        ["DELETE FROM \"t\" WHERE kind = 'x'", "DELETE FROM \"u\" WHERE kind = 'x'"],
    ),
    "a loop over a column's array": (
        "DECLARE r record; x text; BEGIN FOR r IN SELECT tags FROM t LOOP FOREACH x IN ARRAY r.tags LOOP DELETE FROM u WHERE tag = x; END LOOP; END LOOP; END",
        ["SELECT tags FROM t",
         "DELETE FROM u USING (SELECT tags FROM t) AS r, LATERAL (SELECT UNNEST(r.tags) AS x) AS x WHERE tag = x.x"],
    ),
    "loops in loops": (
        "DECLARE r record; s record; BEGIN FOR r IN SELECT id FROM t LOOP FOR s IN SELECT n FROM u WHERE t_id = r.id LOOP DELETE FROM w WHERE n = s.n; END LOOP; END LOOP; END",
        ["SELECT id FROM t", "SELECT n FROM u, (SELECT id FROM t) AS r WHERE t_id = r.id",
         "DELETE FROM w USING (SELECT id FROM t) AS r, LATERAL (SELECT n FROM u WHERE t_id = r.id) AS s WHERE w.n = s.n"],
    ),
    "a while loop": (
        "BEGIN WHILE EXISTS (SELECT FROM t WHERE done IS NULL) LOOP UPDATE t SET done = true WHERE n < 5; END LOOP; END",
        ["SELECT 1 WHERE EXISTS(SELECT FROM t WHERE done IS NULL)",
         "UPDATE t SET done = true WHERE n < 5 AND EXISTS(SELECT FROM t WHERE done IS NULL)"],
    ),
    "batches until nothing is left": (
        "DECLARE n int; BEGIN LOOP UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t WHERE a IS NULL LIMIT 100); "
        "GET DIAGNOSTICS n = ROW_COUNT; EXIT WHEN n = 0; PERFORM pg_sleep(0.1); END LOOP; DELETE FROM u; END",
        ["UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t WHERE a IS NULL LIMIT 100)",
         "DELETE FROM u"],
    ),
    "a counter that a loop changes is unknown": (
        "DECLARE n int := 1; BEGIN WHILE n < 3 LOOP DELETE FROM t WHERE a = n; n := n + 1; END LOOP; DELETE FROM u WHERE a = n; END",
        ["DELETE FROM t WHERE a = n AND n < 3", "DELETE FROM u WHERE a = n"],
    ),
    "continue when": (
        in_loop("CONTINUE WHEN r.code IS NULL; DELETE FROM u WHERE t_id = r.id;"),
        [QUERY, f"DELETE FROM u USING {R} WHERE t_id = r.id AND NOT r.code IS NULL"],
    ),
    "labels": (
        "BEGIN <<rows>> FOR r IN SELECT id, code FROM t WHERE kind = 'x' LOOP EXIT rows WHEN r.code = 'z'; DELETE FROM u WHERE t_id = r.id; END LOOP rows; END",
        [QUERY, f"DELETE FROM u USING {R} WHERE t_id = r.id AND NOT r.code = 'z'"],
    ),
    "case with an operand": (
        in_loop("CASE r.code WHEN 'a', 'b' THEN DELETE FROM u; WHEN 'c' THEN DELETE FROM w; ELSE DELETE FROM x; END CASE;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE r.code IN ('a', 'b')", f"DELETE FROM u USING {R} WHERE r.code IN ('a', 'b')",
         f"SELECT 1 FROM {R} WHERE NOT r.code IN ('a', 'b') AND r.code IN ('c')",
         f"DELETE FROM w USING {R} WHERE NOT r.code IN ('a', 'b') AND r.code IN ('c')",
         f"DELETE FROM x USING {R} WHERE NOT r.code IN ('a', 'b') AND NOT r.code IN ('c')"],
    ),
    "case with conditions": (
        in_loop("CASE WHEN r.id > 5 THEN DELETE FROM u; ELSE NULL; END CASE;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE r.id > 5", f"DELETE FROM u USING {R} WHERE r.id > 5"],
    ),
    "a CASE expression in a condition": (
        in_loop("IF CASE WHEN r.id > 5 THEN true ELSE false END THEN DELETE FROM u; END IF;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE CASE WHEN r.id > 5 THEN true ELSE false END",
         f"DELETE FROM u USING {R} WHERE CASE WHEN r.id > 5 THEN true ELSE false END"],
    ),
    "an exception handler": (
        "BEGIN UPDATE t SET a = 1 WHERE b = 2; EXCEPTION WHEN unique_violation OR foreign_key_violation THEN DELETE FROM t WHERE b = 2; WHEN OTHERS THEN RAISE; END",
        ["UPDATE t SET a = 1 WHERE b = 2", "DELETE FROM t WHERE b = 2"],
    ),
    "a return in a block with a handler ends nothing": (
        "BEGIN BEGIN RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN NULL; END; DELETE FROM t; END", ["DELETE FROM t"],
    ),
    "blocks in blocks": (
        "DECLARE a text := 'x'; BEGIN DECLARE a text := 'y'; BEGIN DELETE FROM t WHERE k = a; END; DELETE FROM u WHERE k = a; END",
        ["DELETE FROM t WHERE k = 'y'", "DELETE FROM u WHERE k = 'x'"],
    ),
    "a cursor": (
        "DECLARE c CURSOR FOR SELECT id, code FROM t WHERE kind = 'x'; r record; BEGIN OPEN c; LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; "
        "DELETE FROM u WHERE t_id = r.id; END LOOP; CLOSE c; END",
        [QUERY, f"DELETE FROM u USING {R} WHERE t_id = r.id AND EXISTS({QUERY})"],
    ),
    "a cursor that is opened for a query": (
        "DECLARE c refcursor; i int; k text; BEGIN OPEN c FOR SELECT id, code FROM t WHERE kind = 'x'; FETCH NEXT FROM c INTO i, k; DELETE FROM u WHERE t_id = i AND code = k; END",
        [QUERY, "DELETE FROM u WHERE t_id = (SELECT id FROM t WHERE kind = 'x') AND code = (SELECT code FROM t WHERE kind = 'x')"],
    ),
    "a loop over a cursor": (
        "DECLARE c CURSOR (k text) FOR SELECT id, code FROM t WHERE kind = k; BEGIN FOR r IN c('x') LOOP DELETE FROM u WHERE t_id = r.id; END LOOP; END",
        [QUERY, f"DELETE FROM u USING {R} WHERE t_id = r.id"],
    ),
    "where current of": (
        "DECLARE c CURSOR FOR SELECT * FROM t WHERE t.kind = 'x' FOR UPDATE; BEGIN FOR r IN c LOOP UPDATE t SET a = r.b WHERE CURRENT OF c; END LOOP; END",
        ["SELECT * FROM t WHERE t.kind = 'x' FOR UPDATE",
         "UPDATE t SET a = r.b FROM (SELECT * FROM t WHERE t.kind = 'x') AS r WHERE t.kind = 'x'"],
    ),
    "insert of values in a loop": (
        in_loop("IF r.code = 'a' THEN INSERT INTO u (t_id, v) VALUES (r.id, 1), (r.id, 2) ON CONFLICT DO NOTHING; END IF;"),
        [QUERY, f"SELECT 1 FROM {R} WHERE r.code = 'a'",
         f"INSERT INTO u (t_id, v) SELECT r.id, 1 FROM {R} WHERE r.code = 'a' UNION ALL SELECT r.id, 2 FROM {R} WHERE r.code = 'a' ON CONFLICT DO NOTHING"],
    ),
    "insert of a query in a loop": (
        in_loop("INSERT INTO u (t_id) SELECT w.id FROM w WHERE w.k = r.code;"),
        [QUERY, f"INSERT INTO u (t_id) SELECT w.id FROM w, {R} WHERE w.k = r.code"],
    ),
    "an update with FROM in a loop": (
        in_loop("UPDATE u SET v = w.v FROM w WHERE w.u_id = u.id AND w.k = r.code;"),
        [QUERY, f"UPDATE u SET v = w.v FROM w, {R} WHERE w.u_id = u.id AND w.k = r.code"],
    ),
    "a union in a loop": (
        in_loop("PERFORM id FROM u WHERE k = r.code UNION SELECT id FROM w WHERE k = r.code;"),
        [QUERY, f"SELECT * FROM {R}, LATERAL (SELECT id FROM u WHERE k = r.code UNION SELECT id FROM w WHERE k = r.code) AS statement"],
    ),
    "merge under a condition": (
        "BEGIN IF EXISTS (SELECT FROM w) THEN MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.x > 1 THEN UPDATE SET a = 1; END IF; END",
        ["SELECT 1 WHERE EXISTS(SELECT FROM w)",
         "MERGE INTO t USING s ON t.id = s.id AND EXISTS(SELECT FROM w) WHEN MATCHED AND s.x > 1 THEN UPDATE SET a = 1"],
    ),
    "a common table expression": (
        in_loop("WITH q AS (SELECT id FROM w WHERE k = 'y') UPDATE u SET v = 1 WHERE id IN (SELECT id FROM q) AND t_id = r.id;"),
        [QUERY, f"WITH q AS (SELECT id FROM w WHERE k = 'y') UPDATE u SET v = 1 FROM {R} WHERE u.id IN (SELECT id FROM q) AND t_id = r.id"],
    ),
    "scalars as the row of a loop": (
        "DECLARE a int; b text; BEGIN FOR a, b IN SELECT id, code FROM t WHERE kind = 'x' LOOP DELETE FROM u WHERE t_id = a AND k = b; END LOOP; END",
        [QUERY, "DELETE FROM u USING (SELECT id, code FROM t WHERE kind = 'x') AS loop_row WHERE t_id = loop_row.id AND k = loop_row.code"],
    ),
    "a scalar as the row of a loop": (
        "DECLARE a int; BEGIN FOR a IN SELECT max(id) FROM t GROUP BY k LOOP DELETE FROM u WHERE t_id = a; END LOOP; END",
        ["SELECT MAX(id) FROM t GROUP BY k", "DELETE FROM u USING (SELECT MAX(id) AS column_1 FROM t GROUP BY k) AS a WHERE t_id = a.column_1"],
    ),
    "returning into": (
        "DECLARE n int; BEGIN DELETE FROM t WHERE k = 'x' RETURNING id INTO n; DELETE FROM u WHERE t_id = n; END",
        ["DELETE FROM t WHERE k = 'x' RETURNING id", "DELETE FROM u WHERE t_id = (SELECT id FROM t WHERE k = 'x')"],
    ),
    "assert": (
        "BEGIN ASSERT (SELECT count(*) FROM t) > 0, 'empty'; DELETE FROM u; END", ["DELETE FROM u WHERE (SELECT COUNT(*) FROM t) > 0"],
    ),
    "a table from a query": (
        "BEGIN CREATE TEMP TABLE x ON COMMIT DROP AS SELECT id FROM t WHERE kind = 'x'; ALTER TABLE t ADD COLUMN z int; END", ["SELECT id FROM t WHERE kind = 'x'"],
    ),
    "what sqlglot does not know": ("BEGIN SELECT 1; IF q.n > 3 THEN SELECT IF q.n > 3; END IF; DELETE FROM u; END", ["DELETE FROM u"]),
    "what cannot be read": ("BEGIN UPDATE t SET = = 1 WHERE; DELETE FROM u WHERE k = 'x'; COMMIT; END", ["DELETE FROM u WHERE k = 'x'"]),
    "a column that the row has, too": (
        in_loop("UPDATE u SET code = upper(code) WHERE id = r.id AND code <> r.code AND n IN (SELECT id FROM w);"),
        [QUERY, f"UPDATE u SET code = UPPER(u.code) FROM {R} WHERE u.id = r.id AND u.code <> r.code AND n IN (SELECT id FROM w)"],
    ),
    "values as rows": (
        "DECLARE r record; BEGIN FOR r IN VALUES ('a', 'b'), ('c', 'd') LOOP UPDATE t SET k = r.column2 WHERE k = r.column1; END LOOP; END",
        ["SELECT * FROM (VALUES ('a', 'b'), ('c', 'd')) AS listed(column1, column2)",
         "UPDATE t SET k = r.column2 FROM (SELECT * FROM (VALUES ('a', 'b'), ('c', 'd')) AS listed(column1, column2)) AS r WHERE t.k = r.column1"],
    ),
    "execute for each value": (
        "DECLARE r record; BEGIN FOR r IN SELECT * FROM (VALUES ('t', 'a'), ('u', 'b')) AS v (tab, col) LOOP "
        "EXECUTE format('UPDATE %I SET %I = 1 WHERE k = 7', r.tab, r.col); END LOOP; END",
        ["UPDATE \"t\" SET \"a\" = 1 WHERE k = 7", "UPDATE \"u\" SET \"b\" = 1 WHERE k = 7"],
    ),
    "execute for each item": (
        "DECLARE tab text; BEGIN FOR tab IN SELECT unnest(ARRAY['t', 'u']) LOOP EXECUTE format('DELETE FROM %I WHERE k = %L', tab, 'x'); END LOOP; END",
        ["DELETE FROM \"t\" WHERE k = 'x'", "DELETE FROM \"u\" WHERE k = 'x'"],
    ),
    "execute for each item of a text": (
        "DECLARE tab text; BEGIN FOREACH tab IN ARRAY '{t, u}'::text[] LOOP EXECUTE 'DELETE FROM ' || tab || ' WHERE deleted'; END LOOP; END",
        ["DELETE FROM t WHERE deleted", "DELETE FROM u WHERE deleted"],
    ),
    "a query in parentheses": (
        "DECLARE r record; BEGIN FOR r IN (SELECT id, code FROM t WHERE kind = 'x') LOOP DELETE FROM u WHERE t_id = r.id; END LOOP; END",
        [QUERY, f"DELETE FROM u USING {R} WHERE t_id = r.id"],
    ),
    "an array of a query": (
        "DECLARE ids int[]; BEGIN SELECT array_agg(id) INTO ids FROM t WHERE kind = 'x'; DELETE FROM u WHERE t_id = ANY(ids); END",
        ["SELECT ARRAY_AGG(id) FROM t WHERE kind = 'x'", "DELETE FROM u WHERE t_id = ANY((SELECT id FROM t WHERE kind = 'x'))"],
    ),
    "a statement without its table": ("BEGIN DELETE FROMu WHERE a = 1; DELETE FROM u; END", ["DELETE FROM u"]),
    "a condition on constants": (
        "DECLARE m text := 'full'; BEGIN IF m = 'part' THEN DELETE FROM t; ELSIF m IN ('full', 'all') THEN DELETE FROM u; ELSE DELETE FROM w; END IF; "
        "IF m <> 'full' THEN RETURN; END IF; DELETE FROM x; END",
        ["DELETE FROM u", "DELETE FROM x"],
    ),
    "a loop over the result of a function": (
        "DECLARE r record; e record; BEGIN FOR r IN SELECT id, data FROM t LOOP FOR e IN SELECT * FROM jsonb_each(r.data) LOOP DELETE FROM u WHERE k = e.key; END LOOP; END LOOP; END",
        ["SELECT id, data FROM t", "SELECT * FROM (SELECT id, data FROM t) AS r, JSONB_EACH(r.data)",
         "DELETE FROM u USING (SELECT id, data FROM t) AS r, LATERAL (SELECT * FROM JSONB_EACH(r.data)) AS e WHERE u.k = e.key"],
    ),
    "a join on the row of a loop": (
        in_loop("PERFORM 1 FROM u LEFT JOIN w ON w.u_id = u.id AND w.code = r.code WHERE u.t_id = r.id;"),
        [QUERY, f"SELECT 1 FROM {R} CROSS JOIN u LEFT JOIN w ON w.u_id = u.id AND w.code = r.code WHERE u.t_id = r.id"],
    ),
    "a loop over deleted rows": (
        "DECLARE r record; BEGIN FOR r IN DELETE FROM t WHERE k = 'x' RETURNING id, k LOOP INSERT INTO u (id) VALUES (r.id); END LOOP; END",
        ["DELETE FROM t WHERE k = 'x' RETURNING id, k", "INSERT INTO u (id) SELECT r.id FROM (SELECT id, k FROM t WHERE k = 'x') AS r"],
    ),
    "a loop over rows that a subquery deletes": (
        "DECLARE r record; BEGIN FOR r IN WITH d AS (DELETE FROM t WHERE k = 'x' RETURNING *) SELECT * FROM d LOOP INSERT INTO u (id) VALUES (r.id); END LOOP; END",
        ["WITH d AS (DELETE FROM t WHERE k = 'x' RETURNING *) SELECT * FROM d",
         "INSERT INTO u (id) SELECT r.id FROM (WITH d AS (SELECT * FROM t WHERE k = 'x') SELECT * FROM d) AS r"],
    ),
    "a lock": (
        "BEGIN PERFORM id FROM t WHERE k = 'x' FOR UPDATE; IF FOUND THEN DELETE FROM u; END IF; END",
        ["SELECT id FROM t WHERE k = 'x' FOR UPDATE", "SELECT 1 WHERE EXISTS(SELECT id FROM t WHERE k = 'x')",
         "DELETE FROM u WHERE EXISTS(SELECT id FROM t WHERE k = 'x')"],
    ),
    "a variable with the label of its block": (
        "<<main>> DECLARE k text := 'x'; BEGIN DELETE FROM t WHERE t.k = main.k; END", ["DELETE FROM t WHERE t.k = 'x'"],
    ),
    "details of an exception": (
        "DECLARE m text; BEGIN DELETE FROM t; EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT; DELETE FROM u; END", ["DELETE FROM t", "DELETE FROM u"],
    ),
    "an incomplete block": ("BEGIN IF a THEN DELETE FROM u;", []),
    "no block": ("SELECT 1", []),
    "a call in a loop": (
        in_loop("PERFORM close_one(r.id, 'done');"),
        [QUERY, f"UPDATE t SET state = 'done' FROM {R} WHERE t.id = r.id"],
    ),
}  # fmt: skip

STATEMENTS = {
    "a function of SQL": ("SELECT close_all()", ["UPDATE t SET state = 'closed' WHERE state = 'open'", "DELETE FROM u WHERE t_id = 0"]),
    "a schema's function": ("SELECT public.close_one(5, 'x')", ["UPDATE t SET state = 'x' WHERE id = 5"]),
    "arguments by name": ("SELECT close_one(p_state => 'x', p_id => 5)", ["UPDATE t SET state = 'x' WHERE id = 5"]),
    "arguments by number": ("SELECT * FROM by_number(7, 'k')", ["DELETE FROM t WHERE id = 7 AND kind = 'k'"]),
    "an alias of an argument": ("SELECT aliased('k')", ["DELETE FROM t WHERE kind = 'k'"]),
    "an argument with the function's name": ("SELECT by_own_name(7)", ["DELETE FROM t WHERE t.id = 7 AND kind = 'x'"]),
    "a function with a name of another dialect's": ("SELECT array_append(1, 2)", ["DELETE FROM t WHERE a = 1 AND b = 2"]),
    "a procedure": ("CALL renumber('k');", ["UPDATE t SET n = 1 WHERE kind = UPPER('k')"]),
    "return query": ("SELECT * FROM listed('k')", ["SELECT id FROM t WHERE kind = 'k'"]),
    "a call in a function": ("SELECT outer_one(3)", ["UPDATE t SET state = 'seen' WHERE id = 3"]),
    "a function that calls itself": ("SELECT forever(3)", ["DELETE FROM t WHERE id = 3"]),
    "arguments from a query": (
        "SELECT close_one(w.t_id, w.state) FROM w WHERE w.k = 'x'",
        ["UPDATE t SET state = close_one.p_state FROM (SELECT w.t_id AS p_id, w.state AS p_state FROM w WHERE w.k = 'x') AS close_one WHERE id = close_one.p_id"],
    ),
    "an argument that is missing keeps its name": ("SELECT close_one(5)", ["UPDATE t SET state = p_state WHERE id = 5"]),
    "another language": ("SELECT in_python(1)", []),
    "an unknown function": ("SELECT now(), unknown_one(1)", []),
    "no call": ("UPDATE t SET a = 1 WHERE b = 2", []),
    "a definition runs nothing": ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING 1'", []),
    "a block in quotes": ("DO 'BEGIN DELETE FROM t WHERE k = ''x''; END'", ["DELETE FROM t WHERE k = 'x'"]),
    "a block with its language": ("DO LANGUAGE plpgsql $a$ BEGIN DELETE FROM t; END $a$;", ["DELETE FROM t"]),
    "a block of another language": ("DO LANGUAGE plpython3u $$ plpy.execute('DELETE FROM t') $$", []),
    "two blocks": ("DO $$ BEGIN DELETE FROM t; END $$; DO $$ BEGIN DELETE FROM u; END $$", ["DELETE FROM t", "DELETE FROM u"]),
    "an unterminated block": ("DO $$ BEGIN DELETE FROM t; END", ["DELETE FROM t"]),
    "nothing": ("", []),
}  # fmt: skip

TRIGGERS = {
    "a statement with NEW": (
        ("INSERT", "UPDATE"), "", "BEGIN IF NEW.state = 'paid' THEN UPDATE a SET n = 1 WHERE a.id = NEW.a_id; END IF; RETURN NEW; END",
        ["SELECT 1 FROM shop.orders AS new WHERE new.state = 'paid'",
         "UPDATE a SET n = 1 FROM shop.orders AS new WHERE a.id = new.a_id AND new.state = 'paid'"],
    ),
    "OLD and NEW": (
        ("UPDATE",), "", "BEGIN IF OLD.state = 'new' AND NEW.state = 'paid' THEN INSERT INTO log (id) VALUES (NEW.id); END IF; RETURN NEW; END",
        ["SELECT 1 FROM shop.orders AS old, shop.orders AS new WHERE old.state = 'new' AND new.state = 'paid'",
         "INSERT INTO log (id) SELECT new.id FROM shop.orders AS old, shop.orders AS new WHERE old.state = 'new' AND new.state = 'paid'"],
    ),
    "a column that the trigger sets": (
        ("INSERT",), "", "BEGIN NEW.state := 'x'; DELETE FROM a WHERE state = NEW.state AND id = NEW.id; RETURN NEW; END",
        ["DELETE FROM a USING shop.orders AS new WHERE a.state = 'x' AND a.id = new.id"],
    ),
    "the operation": (
        ("DELETE",), "", "BEGIN IF TG_OP = 'DELETE' THEN DELETE FROM a WHERE id = OLD.id; END IF; RETURN NULL; END",
        ["DELETE FROM a USING shop.orders AS old WHERE a.id = old.id"],
    ),
    "another operation": (
        ("INSERT",), "", "BEGIN IF TG_OP = 'DELETE' THEN DELETE FROM a WHERE id = OLD.id; ELSE DELETE FROM a; END IF; RETURN NULL; END", ["DELETE FROM a"],
    ),
    "the table": (
        ("INSERT",), "", "BEGIN EXECUTE format('DELETE FROM %I WHERE id = $1', TG_TABLE_NAME || '_old') USING NEW.id; RETURN NULL; END",
        ['DELETE FROM "orders_old" USING shop.orders AS new WHERE "orders_old".id = new.id'],
    ),
    "the condition of the trigger": (
        ("UPDATE",), "new.n > 3", "BEGIN DELETE FROM a; RETURN NULL; END", ["DELETE FROM a USING shop.orders AS new WHERE new.n > 3"],
    ),
}  # fmt: skip


def normalise(statement: str) -> exp.Expr:
    """A statement as its tree, without parentheses: these are in the tree's shape."""
    tree = sqlglot.parse_one(statement, read="postgres")
    assert not isinstance(tree, exp.Command)
    return tree.transform(lambda node: node.unnest() if isinstance(node, exp.Paren) else node)


def check(found: list[str], expected: list[str]) -> None:
    if [*map(normalise, found)] != [*map(normalise, expected)]:
        assert [normalise(each).sql("postgres") for each in found] == [
            normalise(each).sql("postgres") for each in expected
        ]
        assert [*map(repr, map(normalise, found))] == [*map(repr, map(normalise, expected))]


@pytest.mark.parametrize(("body", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_the_statements_of_a_block(body: str, expected: list[str]) -> None:
    check(inner_statements(f"DO $body$ {body} $body$", FUNCTIONS), expected)


@pytest.mark.parametrize(("statement", "expected"), STATEMENTS.values(), ids=STATEMENTS)
def test_the_statements_that_a_statement_runs(statement: str, expected: list[str]) -> None:
    check(inner_statements(statement, FUNCTIONS), expected)


@pytest.mark.parametrize(("events", "condition", "body", "expected"), TRIGGERS.values(), ids=TRIGGERS)
def test_the_statements_of_a_trigger(events: tuple[str, ...], condition: str, body: str, expected: list[str]) -> None:
    trigger = TriggerBody("shop.orders", events, condition, FunctionBody("noted", (), "plpgsql", body))
    check(trigger_statements(trigger, FUNCTIONS), expected)


@pytest.mark.parametrize("body", [body for body, _ in BLOCKS.values()], ids=BLOCKS)
def test_a_block_cut_at_any_place_raises_nothing(body: str, caplog: pytest.LogCaptureFixture) -> None:
    for length in range(0, len(body), 7):
        inner_statements(f"DO $body$ {body[:length]}", FUNCTIONS)
    assert not caplog.records
