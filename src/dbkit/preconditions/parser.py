"""Parse the statements that ask something of existing rows: ALTER TABLE, CREATE UNIQUE INDEX, ALTER DOMAIN.

Only the text is read, as tokens of PostgreSQL's lexer; names are looked up in `statements`.
"""

import re
from collections.abc import Iterator, Sequence

from dbkit.postgres.sql_quote import quote_ident
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, split_statements, tokenize, unquote_name
from dbkit.preconditions.actions import (
    Action,
    Check,
    Exclusion,
    ForeignKey,
    NoQuestion,
    NotNull,
    OtherAction,
    PrimaryIndex,
    RequiredColumn,
    Statement,
    TypeChange,
    UniqueKey,
    Validation,
)

NOT_CHECKED = re.compile(r"\bnot (?:valid|enforced)\b")
# they change neither rows nor columns
NEUTRAL = re.compile(r"(?:comment on|create index|set (?:local |session )?(?:lock|statement)_timeout)\b")
NEUTRAL_ACTION = re.compile(r"(?:owner to|enable|disable|force|no force|cluster on|replica identity|reset ?\(|set ?\()")
NEUTRAL_COLUMN_ACTION = re.compile(
    r"(?:drop (?:not null|default|identity)|set (?:default|statistics|storage|compression|generated)|add generated"
    r"|re?set ?\()"
)
ENDS_TYPE = (
    "collate",
    "constraint",
    "not",
    "null",
    "default",
    "check",
    "unique",
    "primary",
    "references",
    "generated",
    "storage",
    "compression",
)
HAS_VALUE = re.compile(r"\b(?:default|generated)\b")
# the other operator classes may compare differently than PARTITION BY does
ORDER = re.compile(r"(?:(?:text|varchar|bpchar)_pattern_ops\b)? ?(?:asc|desc)? ?(?:nulls (?:first|last))?")


class _Unreadable(Exception):
    """The text is none that this module reads."""


class _Words:
    """The tokens of a statement or of a part of it, without white space, read from left to right."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.place = 0

    def next(self) -> str:
        """Return the next token in its plain form; "" at the end."""
        return self.tokens[self.place].plain if self.place < len(self.tokens) else ""

    def accept(self, phrase: str) -> bool:
        """Read the keywords, if they are next."""
        words = phrase.split()
        is_next = [token.plain for token in self.tokens[self.place : self.place + len(words)]] == words
        self.place += len(words) if is_next else 0
        return is_next

    def require(self, phrase: str) -> None:
        """Read the keywords. Raises _Unreadable."""
        if not self.accept(phrase):
            raise _Unreadable

    def read_part(self) -> str:
        """Read one name, and return it as in the catalog."""
        if self.place == len(self.tokens):
            raise _Unreadable
        token = self.tokens[self.place]
        if token.kind not in (Kind.WORD, Kind.NAME) or token.text[:2].lower() == "u&":
            raise _Unreadable
        self.place += 1
        return unquote_name(token.text)

    def read_name(self) -> str:
        """Read a name with or without its schema, and return it as SQL."""
        parts = [self.read_part()]
        while self.accept("."):
            parts.append(self.read_part())
        return quote_ident(*parts)

    def read_parentheses(self) -> "_Words":
        """Read what is in parentheses, and return it."""
        begin = self.place
        self.require("(")
        depth = 1
        while depth:
            if self.place == len(self.tokens):
                raise _Unreadable
            depth += {"(": 1, ")": -1}.get(self.next(), 0)
            self.place += 1
        return _Words(self.text, self.tokens[begin + 1 : self.place - 1])

    def read_columns(self) -> tuple[str, ...]:
        """Read names in parentheses, and return them as in the catalog."""
        found = []
        for each in self.read_parentheses().split():
            found.append(each.read_part())
            each.require_end()
        return tuple(found)

    def split(self) -> Iterator["_Words"]:
        """Yield what is between the commas, those in parentheses excepted."""
        begin, depth = self.place, 0
        for number in range(self.place, len(self.tokens)):
            plain = self.tokens[number].plain
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(plain, 0)
            if plain == "," and depth == 0:
                yield _Words(self.text, self.tokens[begin:number])
                begin = number + 1
        yield _Words(self.text, self.tokens[begin:])

    def sql(self, begin: int | None = None, end: int | None = None) -> str:
        """Return the text of tokens as it is written; by default, of those that are left."""
        part = self.tokens[self.place if begin is None else begin : end]
        return self.text[part[0].start : part[-1].start + len(part[-1].text)] if part else ""

    def plain(self) -> str:
        """Return what is left, with one space between the tokens but for parentheses."""
        joined = " ".join(token.plain for token in self.tokens[self.place :])
        return joined.replace("( ", "(").replace(" )", ")").replace(" (", "(")

    def plain_outside(self) -> str:
        """Return what is left outside of parentheses, with one space between the tokens."""
        found: list[str] = []
        while self.next():
            if self.next() == "(":
                self.read_parentheses()
            else:
                found.append(self.next())
                self.place += 1
        return " ".join(found)

    def require_end(self) -> None:
        """Raise _Unreadable where something is left."""
        if self.place < len(self.tokens):
            raise _Unreadable


def parse_statements(sql: str) -> Iterator[Statement]:
    """Yield the statements of a text, up to the first one that may change rows or columns."""
    for tokens in split_statements(sql):
        words = _read_words(tokens)
        if NEUTRAL.match(words.plain()):
            continue
        try:
            statement = _parse(words)
        except _Unreadable:
            return
        kinds = {type(action) for action in statement.actions}
        if OtherAction in kinds:
            return
        if TypeChange in kinds:
            # its other actions may be about the column of the new type
            yield Statement(
                statement.name,
                tuple(each for each in statement.actions if isinstance(each, TypeChange)),
                statement.is_only,
            )
            return
        yield statement


def _read_words(tokens: Sequence[Token]) -> _Words:
    begin = tokens[0].start
    text = "".join(" " * len(token.text) if token.kind == Kind.COMMENT else token.text for token in tokens)
    placed = [Token(token.kind, token.text, token.start - begin) for token in tokens if token.kind not in SEPARATORS]
    return _Words(text, placed)


def _parse(words: _Words) -> Statement:
    if words.accept("alter table"):
        words.accept("if exists")
        is_only = words.accept("only")
        name = words.read_name()
        words.accept("*")
        return Statement(name, tuple(map(_parse_action, words.split())), is_only)
    if words.accept("create unique index"):
        return _parse_index(words)
    if words.accept("alter domain"):
        return Statement(words.read_name(), (_parse_domain_action(words),), is_domain=True)
    raise _Unreadable


def _parse_action(words: _Words) -> Action:
    if words.accept("add"):
        return _parse_addition(words)
    if words.accept("validate constraint"):
        return Validation(words.read_part())
    if words.accept("drop constraint"):
        return NoQuestion(drops_constraint=True)
    if words.next() == "alter" and not words.accept("alter constraint"):
        words.require("alter")
        words.accept("column")
        return _parse_column_action(words.read_part(), words)
    return NoQuestion() if NEUTRAL_ACTION.match(words.plain()) else OtherAction()


def _parse_column_action(column: str, words: _Words) -> Action:
    if words.accept("set not null"):
        return NotNull(column)
    if words.accept("type") or words.accept("set data type"):
        kind, *using = re.split(r"\busing\b", words.plain(), maxsplit=1)
        if not using:
            return TypeChange(column, kind)
        name, wanted, expression = (re.sub(r"\s", "", text) for text in (column, kind, using[0]))
        casts = (f"{name}::{wanted}", f"cast({name}as{wanted})")
        is_same = expression in casts or expression in [f"({each})" for each in casts]
        return TypeChange(column, kind, is_explicit=True) if is_same else OtherAction()
    return NoQuestion() if NEUTRAL_COLUMN_ACTION.match(words.plain()) else OtherAction()


def _parse_addition(words: _Words) -> Action:
    """Parse what follows ADD."""
    begin = words.place
    try:
        if found := _parse_constraint(words):
            return found
    except _Unreadable:
        return NoQuestion()  # a constraint changes no rows, whatever it asks
    words.place = begin
    words.accept("column")
    words.accept("if not exists")
    column, begin = words.read_part(), words.place
    while words.next() and words.next() not in ENDS_TYPE:
        words.place += 1
    kind, rest = words.sql(begin, words.place), words.plain_outside()
    is_required = re.search(r"\b(?:not null|primary key)\b", rest) and not HAS_VALUE.search(rest)
    return RequiredColumn(column, kind) if is_required else NoQuestion()


def _parse_constraint(words: _Words) -> Action | None:
    """Parse a constraint of a table; None for something else."""
    is_named = words.accept("constraint")
    if is_named:
        words.read_part()
    if words.accept("check"):
        return _if_checked(words, Check(words.read_parentheses().sql(), not words.plain().startswith("no inherit")))
    if words.accept("not null"):
        return _if_checked(words, NotNull(words.read_part()))
    if words.accept("unique"):
        return _parse_unique(words)
    if words.accept("primary key"):
        if words.accept("using index"):
            return PrimaryIndex(words.read_part())
        columns = words.read_columns()
        return UniqueKey(tuple(map(quote_ident, columns)), columns)
    if words.accept("foreign key"):
        return _parse_foreign_key(words)
    if words.accept("exclude using") or words.accept("exclude ("):
        words.place -= 1
        return _parse_exclusion(words)
    if is_named:
        raise _Unreadable
    return None


def _if_checked(words: _Words, action: Action) -> Action:
    return NoQuestion() if NOT_CHECKED.search(words.plain()) else action


def _parse_unique(words: _Words) -> Action:
    if words.accept("using index"):
        return NoQuestion()
    are_nulls_equal = words.accept("nulls not distinct")
    words.accept("nulls distinct")
    return UniqueKey(tuple(map(quote_ident, words.read_columns())), are_nulls_equal=are_nulls_equal)


def _parse_foreign_key(words: _Words) -> Action:
    columns = words.read_columns()
    words.require("references")
    parent = words.read_name()
    parent_columns = words.read_columns() if words.next() == "(" else ()
    rest = words.plain()
    return _if_checked(words, ForeignKey(columns, parent, parent_columns, rest.startswith("match full")))


def _parse_exclusion(words: _Words) -> Action:
    if words.accept("using"):
        words.read_part()
    expressions, operators = [], []
    for each in words.read_parentheses().split():
        expressions.append(_read_expression(each)[0])
        each.require("with")
        operators.append(each.sql())
    if re.search(r"\bwhere\b", words.plain()):
        while not words.accept("where"):
            words.place += 1
        return Exclusion(tuple(expressions), tuple(operators), words.read_parentheses().sql())
    return Exclusion(tuple(expressions), tuple(operators), "")


def _read_expression(words: _Words) -> tuple[str, bool]:
    """Read a column, a function call or an expression in parentheses; return it as SQL, and whether it is a column."""
    begin = words.place
    if words.next() == "(":
        words.read_parentheses()
        return words.sql(begin, words.place), False
    name = words.read_name()
    if words.next() == "(":
        words.read_parentheses()
        return words.sql(begin, words.place), False
    if words.place > begin + 1:
        raise _Unreadable
    return name, True


def _parse_index(words: _Words) -> Statement:
    """Parse what follows CREATE UNIQUE INDEX."""
    words.accept("concurrently")
    may_exist = words.accept("if not exists")
    name = "" if words.next() == "on" else words.read_part()
    words.require("on")
    is_only = words.accept("only")
    table = words.read_name()
    if words.accept("using"):
        words.require("btree")
    expressions, are_columns = [], []
    for each in words.read_parentheses().split():
        text, is_column = _read_expression(each)
        if each.accept("collate"):
            text, is_column = f"{text} COLLATE {each.read_name()}", False
        if not ORDER.fullmatch(each.plain()):
            raise _Unreadable
        expressions.append(text)
        are_columns.append(is_column)
    if words.accept("include"):
        words.read_parentheses()
    are_nulls_equal = words.accept("nulls not distinct")
    words.accept("nulls distinct")
    if words.accept("with"):
        words.read_parentheses()
    if words.accept("tablespace"):
        words.read_part()
    predicate = words.sql() if words.accept("where") else ""
    if not predicate:
        words.require_end()
    has_expressions = bool(predicate) or not all(are_columns)
    key = UniqueKey(
        tuple(expressions), predicate=predicate, are_nulls_equal=are_nulls_equal, has_expressions=has_expressions
    )
    return Statement(table, (key,), is_only, new_index=name if may_exist else "")


def _parse_domain_action(words: _Words) -> Action:
    if words.accept("set not null"):
        return NotNull("")
    if words.accept("validate constraint"):
        return Validation(words.read_part())
    words.require("add")
    if words.accept("constraint"):
        words.read_part()
    if words.accept("not null"):
        return NotNull("")
    words.require("check")
    return _if_checked(words, Check(words.read_parentheses().sql()))


def replace_value(expression: str, value: str) -> str:
    """Return the check of a domain with another expression in place of VALUE."""
    return "".join(value if token.plain == "value" else token.text for token in tokenize(expression))
