"""The syntax of PL/pgSQL: the source of a block as a tree of statements, whose SQL is still text.

https://www.postgresql.org/docs/18/plpgsql.html
"""

import re
from collections.abc import Callable

from dbkit.coverage.plpgsql_nodes import (
    ArrayItems,
    Assert,
    Assignment,
    Block,
    Body,
    Branches,
    Command,
    Dynamic,
    Fetch,
    Leave,
    Loop,
    Node,
    Open,
    Range,
    RowCount,
    Variable,
)
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, tokenize, unquote_name, without_comments


class UnreadableError(ValueError):
    """The source is not PL/pgSQL, or not complete."""


LOGS = ("debug", "log", "info", "notice", "warning")
ENDS = ("end", "elsif", "elseif", "else", "when", "exception", "")
CALL = re.compile(r"(\w+)\s*(?:\((.*)\))?", re.DOTALL)
OPENS, CLOSES = ("(", "["), (")", "]")


def parse_block(source: str) -> Block:
    """Return the block of a function or of DO. Raises UnreadableError."""
    return _Parser(source).read_block()


def split_items(text: str) -> tuple[str, ...]:
    """Return the parts of a list between its commas."""
    parser = _Parser(text + ";")
    items = []
    while parser.word():
        items.append(parser.read_text(",", ";"))
        parser.position += 1
    return tuple(item for item in items if item)


def split_call(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the arguments of `name(…)` or `name`; of another text an empty name."""
    call = CALL.fullmatch(text.strip())
    return (call[1].lower(), split_items(call[2] or "")) if call else ("", ())


class _Parser:
    """A recursive descent over the tokens of a source."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = [token for token in tokenize(source) if token.kind not in SEPARATORS]
        self.position = 0

    def word(self, ahead: int = 0) -> str:
        """The next token in lower case; empty at the end."""
        place = self.position + ahead
        return self.tokens[place].plain if place < len(self.tokens) else ""

    def accept(self, *words: str) -> bool:
        """Skip the words where they are next."""
        is_next = all(self.word(number) == word for number, word in enumerate(words))
        self.position += len(words) if is_next else 0
        return is_next

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise UnreadableError(" ".join(words))

    def read_text(self, *stops: str) -> str:
        """Return the source up to a word that is outside of parentheses and CASE expressions, which remains next."""
        first, depth, cases = self.position, 0, 0
        while word := self.word():
            if depth == 0 and word in stops and (cases == 0 or word == ";"):
                return self.slice(first, self.position)
            depth += (word in OPENS) - (word in CLOSES)
            cases = max(0, cases + (word == "case") - (word == "end"))
            self.position += 1
        raise UnreadableError(" ".join(stops))

    def slice(self, first: int, end: int) -> str:
        """Return the source of some tokens, without comments."""
        if first >= end:
            return ""
        last = self.tokens[end - 1]
        return without_comments(self.source[self.tokens[first].start : last.start + len(last.text)])

    def read_name(self) -> str:
        """Return a name with its parts, as in the catalog."""
        parts = [self.read_identifier()]
        while self.accept("."):
            parts.append(self.read_identifier())
        return ".".join(parts)

    def read_identifier(self) -> str:
        token: Token | None = self.tokens[self.position] if self.position < len(self.tokens) else None
        if token is None or token.kind not in (Kind.WORD, Kind.NAME, Kind.PARAMETER):
            raise UnreadableError("a name")
        self.position += 1
        return unquote_name(token.text)

    def read_names(self) -> tuple[str, ...]:
        names = [self.read_name()]
        while self.accept(","):
            names.append(self.read_name())
        return tuple(names)

    def skip_label(self) -> None:
        while self.accept("<", "<"):
            self.read_identifier()
            self.expect(">", ">")

    def skip_statement(self) -> None:
        self.read_text(";")
        self.expect(";")

    def read_block(self) -> Block:
        """Return the block that is next, up to its END."""
        while self.accept("#"):
            self.position += 2  # an option of the compiler: #variable_conflict use_column
        self.skip_label()
        variables: list[Variable] = []
        while self.accept("declare"):
            while self.word() not in ("begin", "declare", ""):
                variables.append(self.read_variable())
        self.expect("begin")
        body, handlers = self.read_body(), []
        if self.accept("exception"):
            while self.accept("when"):
                self.read_text("then")
                self.expect("then")
                handlers.append(self.read_body())
        self.finish("end")
        return Block(tuple(variables), body, tuple(handlers))

    def finish(self, *words: str) -> None:
        """Skip the end of a statement, with its label."""
        self.expect(*words)
        if self.word() not in (";", ""):
            self.read_identifier()
        if self.word():
            self.expect(";")

    def read_variable(self) -> Variable:
        name = self.read_identifier()
        self.accept("constant")
        if self.accept("alias", "for"):
            value = self.read_text(";")
            self.expect(";")
            return Variable(name, "", value)
        is_scroll = self.accept("no", "scroll") or self.accept("scroll")
        if self.accept("cursor") or is_scroll:
            return self.read_cursor(name)
        type_name = self.read_text(":=", "=", "default", "not", "collate", ";").lower()
        self.read_text(":=", "=", "default", ";")
        value = ""
        if not self.accept(";"):
            self.position += 1
            value = self.read_text(";")
            self.expect(";")
        return Variable(name, type_name, value)

    def read_cursor(self, name: str) -> Variable:
        parameters: list[str] = []
        if self.accept("("):
            while self.word() not in (")", ""):
                parameters.append(self.read_identifier())
                self.read_text(",", ")") if self.word() not in (",", ")") else None
                self.accept(",")
            self.expect(")")
        if not self.accept("for"):
            self.expect("is")
        query = self.read_text(";")
        self.expect(";")
        return Variable(name, "cursor", query=query, parameters=tuple(parameters))

    def read_body(self) -> Body:
        """Return the statements up to a word that ends a list of them."""
        found: list[Node] = []
        self.skip_label()
        while self.word() not in ENDS:
            node = self.read_statement()
            found += [node] if node else []
            self.skip_label()
        return tuple(found)

    def read_statement(self) -> Node | None:
        readers: dict[str, Callable[[], Node | None]] = {
            "if": self.read_if,
            "case": self.read_case,
            "loop": self.read_plain_loop,
            "while": self.read_plain_loop,
            "for": self.read_for,
            "foreach": self.read_foreach,
            "return": self.read_return,
            "raise": self.read_raise,
            "exit": self.read_exit,
            "continue": self.read_exit,
            "execute": self.read_execute,
            "get": self.read_diagnostics,
            "open": self.read_open,
            "fetch": self.read_fetch,
            "assert": self.read_assert,
        }
        word = self.word()
        if word in ("begin", "declare"):
            return self.read_block()
        if word in readers and self.word(1) not in (":=", "=", "."):
            return readers[word]()
        if word in ("null", "close", "move", "commit", "rollback"):
            self.skip_statement()
            return None
        return self.read_assignment() or self.read_command()

    def read_if(self) -> Node:
        arms: list[tuple[str, Body]] = []
        self.expect("if")
        while True:
            condition = self.read_text("then")
            self.expect("then")
            arms.append((condition, self.read_body()))
            if not (self.accept("elsif") or self.accept("elseif")):
                break
        if self.accept("else"):
            arms.append(("", self.read_body()))
        self.finish("end", "if")
        return Branches(tuple(arms))

    def read_case(self) -> Node:
        self.expect("case")
        operand = self.read_text("when")
        arms: list[tuple[str, Body]] = []
        while self.accept("when"):
            condition = self.read_text("then")
            self.expect("then")
            arms.append((f"({operand}) IN ({condition})" if operand else condition, self.read_body()))
        if self.accept("else"):
            arms.append(("", self.read_body()))
        self.finish("end", "case")
        return Branches(tuple(arms))

    def read_plain_loop(self) -> Node:
        condition = self.read_text("loop") if self.accept("while") else ""
        return Loop((), None, condition, self.read_loop_body())

    def read_loop_body(self) -> Body:
        self.expect("loop")
        body = self.read_body()
        self.finish("end", "loop")
        return body

    def read_for(self) -> Node:
        self.expect("for")
        targets = self.read_names()
        self.expect("in")
        if self.accept("execute"):
            return Loop(targets, self.read_dynamic("loop"), "", self.read_loop_body())
        is_reverse = self.accept("reverse")
        first = self.position
        source: str | Range = self.read_text("loop")
        for place in range(first, self.position - 1):
            # `1..10` is the tokens 1, . and .10
            token, following = self.tokens[place : place + 2]
            if token.text == "." and following.text.startswith(".") and following.start == token.start + 1:
                source = self.read_range(first, place, is_reverse)
                break
        return Loop(targets, source, "", self.read_loop_body())

    def read_range(self, first: int, dots: int, is_reverse: bool) -> Range:
        low, high = self.slice(first, dots), self.tokens[dots].start + 2
        loop, self.position = self.position, dots + 2
        self.read_text("by", "loop")
        end, self.position = self.tokens[self.position].start, loop
        upper = without_comments(self.source[high:end]).strip()
        return Range(upper, low) if is_reverse else Range(low, upper)

    def read_foreach(self) -> Node:
        self.expect("foreach")
        targets = self.read_names()
        self.read_text("in")
        self.expect("in", "array")
        return Loop(targets, ArrayItems(self.read_text("loop")), "", self.read_loop_body())

    def read_return(self) -> Node:
        self.expect("return")
        if self.accept("query", "execute"):
            dynamic = self.read_dynamic(";")
            self.expect(";")
            return Command(dynamic)
        if self.accept("query"):
            return self.read_command()
        is_next = self.accept("next")
        value = self.read_text(";")
        self.expect(";")
        return Command(f"SELECT {value}") if is_next else Leave(value=value)

    def read_raise(self) -> Node | None:
        self.expect("raise")
        is_logged = self.word() in LOGS
        self.skip_statement()
        return None if is_logged else Leave()

    def read_exit(self) -> Node:
        self.position += 1
        self.read_text("when", ";")
        condition = self.read_text(";") if self.accept("when") else ""
        self.expect(";")
        return Leave(condition)

    def read_execute(self) -> Node:
        self.expect("execute")
        text = self.read_text("into", "using", ";")
        targets: tuple[str, ...] = ()
        arguments: tuple[str, ...] = ()
        while not self.accept(";"):
            if self.accept("into"):
                self.accept("strict")
                targets = self.read_names()
            else:
                self.expect("using")
                arguments = split_items(self.read_text("into", ";"))
        return Command(Dynamic(text, arguments), targets)

    def read_dynamic(self, stop: str) -> Dynamic:
        text = self.read_text("using", stop)
        return Dynamic(text, split_items(self.read_text(stop)) if self.accept("using") else ())

    def read_diagnostics(self) -> Node | None:
        self.expect("get")
        self.accept("current") or self.accept("stacked")
        self.expect("diagnostics")
        items = split_items(self.read_text(";"))
        self.expect(";")
        for item in items:
            name, _, value = item.replace(":=", "=").partition("=")
            if value.strip().lower() == "row_count":
                return RowCount((name.strip().lower(),))
        return None

    def read_open(self) -> Node:
        self.expect("open")
        start = self.position
        name = self.read_identifier()
        self.read_text("for", ";")
        call = self.slice(start, self.position)
        query: str | Dynamic = call
        if self.accept("for"):
            query = self.read_dynamic(";") if self.accept("execute") else self.read_text(";")
        self.expect(";")
        return Open(name, query)

    def read_fetch(self) -> Node:
        self.expect("fetch")
        first = self.position
        self.read_text("into", ";")
        name = unquote_name(self.slice(max(first, self.position - 1), self.position))
        targets = self.read_names() if self.accept("into") else ()
        self.expect(";")
        return Fetch(name, targets)

    def read_assert(self) -> Node:
        self.expect("assert")
        condition = self.read_text(",", ";")
        self.skip_statement()
        return Assert(condition)

    def read_assignment(self) -> Node | None:
        first = self.position
        try:
            name = self.read_name()
            if self.word() == "[":
                self.read_text(":=", "=", ";")
                name = name.partition(".")[0]
            if self.accept(":=") or self.accept("="):
                value = self.read_text(";")
                self.expect(";")
                return Assignment((name,), value)
        except UnreadableError:
            pass
        self.position = first
        return None

    def read_command(self) -> Node:
        """Return an SQL statement, without its INTO."""
        first = self.position
        self.read_text(";")
        end = self.position
        targets: tuple[str, ...] = ()
        text = self.slice(first, end)
        self.position = first
        while self.position < end and self.word() != ";":
            self.read_text("into", ";")
            if self.word() == "into" and (self.position == first or self.word(-1) not in ("insert", "merge")):
                before = self.slice(first, self.position)
                self.position += 1
                self.accept("strict")
                targets = self.read_names()
                text = f"{before} {self.slice(self.position, end)}"
                break
            self.position += self.word() == "into"
        self.position = end
        self.expect(";")
        return Command(text.strip(), targets)
