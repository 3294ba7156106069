"""The text of EXECUTE: an expression of literals, format(), || and quote_…(), evaluated as far as it is constant."""

import re
from collections.abc import Callable, Sequence

from sqlglot import exp

from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.postgres.sql_text import Kind, tokenize

# %s, %I, %L, with a position or a width; %%
SPECIFIER = re.compile(r"%(?:(\d+)\$)?(?:-?\d+|-?\*)?([sIL%])")
FIRST_PARAMETER = 100_001
"""The number of the first parameter that takes the place of an unknown value; USING has lower ones."""


class NotConstantError(ValueError):
    """The text depends on values that only the server knows, in a place where no parameter can be."""


class TextEvaluator:
    """Evaluate the text of EXECUTE. Unknown values become parameters, `$100001` and so on."""

    def __init__(self) -> None:
        self.parameters: dict[str, exp.Expr] = {}

    def evaluate(self, expression: exp.Expr) -> str:
        """Return the SQL. Raises NotConstantError."""
        tokens = list(tokenize(self.render(expression)))
        return "".join(self._check(token.kind, token.text) for token in tokens)

    def _check(self, kind: Kind, text: str) -> str:
        """Return the text of a token; a parameter that is quoted alone loses its quotes."""
        if kind not in (Kind.STRING, Kind.NAME) or not any(name in text for name in self.parameters):
            return text
        if kind == Kind.STRING and text[1:-1] in self.parameters:
            return text[1:-1]
        raise NotConstantError(text)

    def render(self, expression: exp.Expr) -> str:
        if isinstance(expression, exp.Literal):
            return str(expression.this)
        if isinstance(expression, exp.RawString):
            return str(expression.this)
        if isinstance(expression, exp.Paren | exp.Cast):
            return self.render(expression.this)
        if isinstance(expression, exp.DPipe):
            return self.render(expression.this) + self.render(expression.expression)
        if isinstance(expression, exp.Concat):
            return "".join(map(self.render, expression.expressions))
        if isinstance(expression, exp.Format):
            return self._format(self.render(expression.this), expression.expressions)
        if isinstance(expression, exp.Anonymous) and len(expression.expressions) == 1:
            quote = {"quote_ident": self._identifier, "quote_literal": self._value, "quote_nullable": self._value}
            if found := quote.get(expression.name.lower()):
                return found(expression.expressions[0])
        return self._add_parameter(expression)

    def _format(self, text: str, arguments: Sequence[exp.Expr]) -> str:
        formats: dict[str, Callable[[exp.Expr], str]] = {
            "s": self.render,
            "I": self._identifier,
            "L": self._value,
        }
        place = 0

        def replace(found: re.Match[str]) -> str:
            nonlocal place
            if found[2] == "%":
                return "%"
            place = int(found[1]) if found[1] else place + 1
            if place > len(arguments):
                raise NotConstantError(text)
            return formats[found[2]](arguments[place - 1])

        return SPECIFIER.sub(replace, text)

    def _identifier(self, expression: exp.Expr) -> str:
        name = self.render(expression)
        if any(parameter in name for parameter in self.parameters):
            raise NotConstantError(name)
        return quote_ident(name)

    def _value(self, expression: exp.Expr) -> str:
        literal = expression.unnest()
        if isinstance(literal, exp.Literal):
            return quote_literal(str(literal.this))
        return self._add_parameter(expression)

    def _add_parameter(self, expression: exp.Expr) -> str:
        name = f"${FIRST_PARAMETER + len(self.parameters)}"
        self.parameters[name] = expression
        return name
