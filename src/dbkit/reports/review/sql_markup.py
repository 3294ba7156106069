"""SQL as HTML in which keywords, strings and comments have colours."""

import textwrap

from markupsafe import Markup, escape

from dbkit.postgres.sql_text import Kind, tokenize

WORDS = """
    add after all alter always analyze and any as asc attach authorization before begin between both by cascade case
    cast check cluster collate column columns comment commit concurrently conflict constraint create cross current
    cursor data database declare default deferrable deferred definer delete desc detach disable distinct do domain
    drop each else elsif enable end enum event exclude execute exists extension false fetch filter for foreign from full
    function generated grant group having identity if immutable in including index inherits initially inner insert
    instead intersect into is isolation join key language lateral left level like limit lock loop match materialized
    merge mode not nothing notify null nulls of offset on only option or order outer over owner owned partition policy
    primary privileges procedure public raise range recursive refresh references reindex release rename replace
    replica restrict return returning returns revoke right role rollback row rows rule savepoint schema security select
    sequence serializable set setof share show similar skip some stable start statement statistics stored strict
    table tablespace temp temporary then to transaction trigger true truncate type union unique unlogged update using
    vacuum valid validate value values view volatile when where while window with without work zone
"""
KEYWORDS = frozenset(WORDS.split())


def tidy_sql(sql: str) -> str:
    """Return a statement without the indentation of the file, unless a string in it has several lines."""
    sql = sql.expandtabs(4).strip()
    first, line_break, rest = sql.partition("\n")
    is_string = any(
        token.kind == Kind.STRING and "\n" in token.text and not token.text.startswith("$") for token in tokenize(sql)
    )
    return sql if not rest or is_string else f"{first}{line_break}{textwrap.dedent(rest)}"


def mark_sql(sql: str) -> Markup:
    """Return a statement as HTML: <b> for keywords, <i class="s"> for strings, <i class="c"> for comments."""
    parts = []
    for token in tokenize(tidy_sql(sql)):
        if token.kind == Kind.WORD and token.text.lower() in KEYWORDS:
            parts.append(Markup("<b>{}</b>").format(token.text))
        elif token.kind == Kind.STRING:
            parts.append(Markup('<i class="s">{}</i>').format(token.text))
        elif token.kind == Kind.COMMENT:
            parts.append(Markup('<i class="c">{}</i>').format(token.text))
        else:
            parts.append(escape(token.text))
    return Markup("").join(parts)
