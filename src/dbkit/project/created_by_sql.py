"""Read which tables and columns SQL creates."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dbkit.postgres import sql_text
from dbkit.postgres.sql_text import Kind
from dbkit.project.created_tables import UNKNOWN, CreatedTables, TableName

NO_COLUMN = ("constraint", "primary", "unique", "check", "exclude", "foreign", "like")
TEMPORARY = ("temp", "temporary", "local", "global")
BLOCK_WORDS = (";", "begin", "then", "else", "loop")  # after which a statement of PL/pgSQL begins
DYNAMIC_DROP = re.compile(r"\bEXECUTE\b.*\b(DROP|RENAME|SET\s+SCHEMA)\b", re.IGNORECASE | re.DOTALL)


class _Token(NamedTuple):
    kind: str
    text: str


class ScriptReader:
    """Follows SQL statement by statement: those that create, rename or drop tables and columns."""

    def __init__(self, tables: CreatedTables) -> None:
        self.tables = tables
        self.is_unclear = False
        self.path_is_set = False
        self.tokens: list[_Token] = []
        self.at = 0

    def run(self, sql: str) -> bool:
        """Follow the statements. Returns whether one of them may drop or rename an unknown table."""
        statement: list[_Token] = []
        for token in [*_tokens(sql), _Token("sign", ";")]:
            if token == ("sign", ";"):
                self.tokens, self.at = statement, 0
                self._statement()
                statement = []
            else:
                statement.append(token)
        return self.is_unclear

    def _take(self, *words: str) -> bool:
        """Skip these words where they come next."""
        ahead = [token.text for token in self.tokens[self.at : self.at + len(words)] if token.kind == "word"]
        if ahead != list(words):
            return False
        self.at += len(words)
        return True

    def _take_name(self) -> str | None:
        token = self.tokens[self.at] if self.at < len(self.tokens) else _Token("end", "")
        self.at += 1
        return token.text if token.kind in ("word", "quoted") and UNKNOWN not in token.text else None

    def _take_sign(self, sign: str) -> bool:
        found = self.tokens[self.at : self.at + 1] == [_Token("sign", sign)]
        self.at += found
        return found

    def _take_table(self) -> TableName | None:
        first = self._take_name()
        if first and self._take_sign("."):
            second = self._take_name()
            return (first, second) if second else None
        return self.tables.key(None, first) if first and not self.path_is_set else None

    def _statement(self) -> None:
        words = [token.text for token in self.tokens if token.kind == "word"]
        if "search_path" in words or any(
            "search_path" in token.text for token in self.tokens if token.kind == "string"
        ):
            self.path_is_set = True
        elif self._take("do"):
            for body in [token.text for token in self.tokens if token.kind == "body"]:
                self._block(body)
        elif self._take("create"):
            self._create(words)
        elif self._take("drop", "table"):
            self._drop()
        elif self._take("alter", "table"):
            self._alter()
        elif self._take("drop", "schema"):
            self.tables.forget([key for key in self.tables.columns if "cascade" in words and key[0] in words])
        elif words[:1] in (["select"], ["with"]) and "into" in words:
            self._select_into(words)

    def _block(self, body: str) -> None:
        """Follow CREATE, ALTER and DROP in the body of DO; the text that EXECUTE runs is unknown."""
        self.is_unclear |= bool(DYNAMIC_DROP.search(body))
        statements = [""]
        for token in sql_text.tokenize(body):
            if token.plain in BLOCK_WORDS:
                statements.append("")
            else:
                statements[-1] += " " if token.kind == Kind.COMMENT else token.text
        outer = ScriptReader(self.tables)
        self.is_unclear |= outer.run("; ".join(part for part in statements if not _is_select(part)))

    def _create(self, words: Sequence[str]) -> None:
        temporary = words[1:2] and words[1] in TEMPORARY
        while self.at < len(self.tokens) and self.tokens[self.at].text in (*TEMPORARY, "unlogged"):
            self.at += 1
        if not self._take("table") or temporary:
            return
        self._take("if", "not", "exists")
        key = self._take_table()
        if key:
            self.tables.create(key, self._names_after())

    def _names_after(self) -> Iterator[str]:
        """The columns of CREATE TABLE; with AS, LIKE, INHERITS or OF every word that may be a column."""
        rest = self.tokens[self.at :]
        if any(token.kind == "word" and token.text in ("as", "like", "inherits", "of") for token in rest):
            yield from (token.text for token in rest if token.kind in ("word", "quoted"))
            return
        depth, starts = 0, False
        for token in rest:
            if token.kind == "sign" and token.text in "()":
                depth += 1 if token.text == "(" else -1
                starts = depth == 1 and token.text == "("
            elif token == ("sign", ","):
                starts = depth == 1
            elif starts:
                if token.kind == "quoted" or token.text not in NO_COLUMN:
                    yield token.text
                starts = False

    def _select_into(self, words: Sequence[str]) -> None:
        position = next(i for i, token in enumerate(self.tokens) if token == ("word", "into"))
        if self.tokens[position - 1].text in ("insert", "merge"):
            return
        self.at = position + 1
        if self.tokens[self.at : self.at + 1] and self.tokens[self.at].text in TEMPORARY:
            return
        self._take("unlogged")
        self._take("table")
        key = self._take_table()
        if key:
            self.tables.create(key, (token.text for token in self.tokens if token.kind in ("word", "quoted")))

    def _drop(self) -> None:
        self._take("if", "exists")
        while True:
            key = self._take_table()
            self.is_unclear |= key is None
            if key:
                self.tables.forget([key])
            if not self._take_sign(","):
                return

    def _alter(self) -> None:
        self._take("if", "exists")
        self._take("only")
        key = self._take_table()
        self._take_sign("*")
        if key is None:
            self.is_unclear |= bool({"rename", "schema"} & {token.text for token in self.tokens})
        elif self._take("rename", "to"):
            new = self._take_name()
            self.tables.move(key, (key[0], new)) if new else self.tables.forget([key])
        elif self._take("set", "schema"):
            schema = self._take_name()
            self.tables.move(key, (schema, key[1])) if schema else self.tables.forget([key])
        else:
            self._change_columns(self.tables.columns.get(key, set()))

    def _change_columns(self, columns: set[str]) -> None:
        """Follow the actions of ALTER TABLE that add, drop or rename a column."""
        while self.at < len(self.tokens):
            if self._take("add"):
                self._take("column")
                self._take("if", "not", "exists")
                name = self._take_name()
                if name and name not in NO_COLUMN:
                    columns.add(name)
            elif self._take("drop"):
                self._take("column")
                self._take("if", "exists")
                columns -= {self._take_name()}
            elif self._take("rename"):
                self._take("column")
                columns -= {self._take_name()}
                new = self._take_name() if self._take("to") else None
                columns.update([new] if new else [])
            else:
                self.at += 1


def _is_select(part: str) -> bool:
    """Whether it is a query: in PL/pgSQL, SELECT … INTO sets a variable."""
    return part.lstrip().lower().startswith(("select", "with"))


def _tokens(sql: str) -> Iterator[_Token]:
    for token in sql_text.tokenize(sql):
        if token.kind == Kind.NAME:
            yield _Token("quoted", sql_text.unquote_name(token.text))
        elif token.kind == Kind.STRING:
            is_body = token.text.startswith("$")
            yield _Token("body" if is_body else "string", sql_text.read_string(token.text) if is_body else token.text)
        elif token.kind in (Kind.WORD, Kind.NUMBER):
            yield _Token("word", token.text.lower())
        elif token.kind not in sql_text.SEPARATORS:
            yield _Token("sign", token.text)
