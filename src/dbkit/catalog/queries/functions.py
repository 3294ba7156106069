"""Functions, procedures and aggregates."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact

FUNCTIONS = """
    SELECT p.oid, p.pronamespace, p.proname, oidvectortypes(p.proargtypes),
        CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END,
        CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (
            SELECT concat_ws(' ',
                pg_get_function_arguments(p.oid),
                'RETURNS', format_type(p.prorettype, NULL),
                'KIND', a.aggkind, 'DIRECT', a.aggnumdirectargs,
                'SFUNC', a.aggtransfn::regprocedure, 'STYPE', format_type(a.aggtranstype, NULL),
                'SSPACE', a.aggtransspace,
                'FINALFUNC ' || NULLIF(a.aggfinalfn::oid, 0)::regprocedure, a.aggfinalextra, a.aggfinalmodify,
                'COMBINEFUNC ' || NULLIF(a.aggcombinefn::oid, 0)::regprocedure,
                'SERIALFUNC ' || NULLIF(a.aggserialfn::oid, 0)::regprocedure,
                'DESERIALFUNC ' || NULLIF(a.aggdeserialfn::oid, 0)::regprocedure,
                'INITCOND ' || quote_literal(a.agginitval),
                'MSFUNC ' || NULLIF(a.aggmtransfn::oid, 0)::regprocedure,
                'MINVFUNC ' || NULLIF(a.aggminvtransfn::oid, 0)::regprocedure,
                'MSTYPE ' || format_type(NULLIF(a.aggmtranstype, 0), NULL), 'MSSPACE', a.aggmtransspace,
                'MFINALFUNC ' || NULLIF(a.aggmfinalfn::oid, 0)::regprocedure, a.aggmfinalextra, a.aggmfinalmodify,
                'MINITCOND ' || quote_literal(a.aggminitval),
                'SORTOP ' || NULLIF(a.aggsortop, 0)::regoperator,
                'PARALLEL', p.proparallel)
            FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid
        ) END
    FROM pg_proc AS p
    WHERE p.pronamespace = ANY (%(schemas)s::oid[])
      AND p.oid <> ALL (%(members)s::oid[])
      -- not the constructors that come with a range type
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
            AND d.refclassid = 'pg_type'::regclass
      )
"""


def read_functions(collector: FactCollector) -> None:
    for oid, schema, name, arguments, kind, definition in collector.fetch(
        FUNCTIONS,
        schemas=list(collector.schemas),
        members=collector.members.get("pg_proc", []),
    ):
        collector.add_fact(
            "pg_proc", oid, Fact(kind, f"{collector.name_in_schema(schema, name)}({arguments})"), definition
        )
