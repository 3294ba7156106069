"""The conditions on values in the Python of a revision file, as its source shows them."""

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbkit.backports import TryStar
from dbkit.coverage.python_comparisons import MOST_ARMS, UNKNOWN, Arms, Comparison, Literal, product
from dbkit.coverage.python_module import SCALARS, FunctionDef, Module, find_imported, read_module, unpack
from dbkit.coverage.python_names import SEARCHES, Names
from dbkit.coverage.python_queries import WHERE_METHODS, selected_columns, where_calls
from dbkit.coverage.python_syntax import dotted_name, is_elif, last_name, target_names

DEEPEST = 6  # calls of calls
MOST_CALLS = 200
PASSED_ON = ("enumerate", "list", "tuple", "sorted", "reversed", "set", "iter", "tqdm")


@dataclass(frozen=True)
class PythonCondition:
    """Literals that the values of one row are compared with, by column or key; an empty name is unknown."""

    values: Mapping[str, tuple[Literal, ...]]


def read_conditions(path: Path, functions: Sequence[str] = ("upgrade", "downgrade")) -> list[PythonCondition]:
    """Return the conditions on values in the functions of a file, and in those of the project that they call.

    Each condition is a conjunction; each arm of `or`, `elif` and `in` is a separate one.
    """
    module = read_module(path)
    reader = _Reader()
    for name in functions:
        if name in module.functions:
            reader.read_function(module.functions[name], Names(module), UNKNOWN)
    return [PythonCondition(dict(values)) for values in reader.found.values()]


class _Reader:
    """Walk over functions in order, with what is known of names and the condition under which a place is reached."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, tuple[Literal, ...]]] = {}
        self.stack: list[FunctionDef] = []
        self.calls = 0

    def record(self, path: Arms, arms: Arms) -> Arms:
        """Add conditions to the results, and return them together with those of the path."""
        if arms == UNKNOWN:
            return path
        complete = product([path, arms])
        for arm in complete:
            values: dict[str, tuple[Literal, ...]] = {}
            for name, literal in arm:
                values[name] = (*values.get(name, ()), literal)
            if values:
                self.found.setdefault(repr(values), values)
        return complete

    def read_function(self, function: FunctionDef, names: Names, path: Arms) -> None:
        if function in self.stack or len(self.stack) > DEEPEST or self.calls > MOST_CALLS:
            return
        self.calls += 1
        self.stack.append(function)
        self.read_body(function.body, names, path)
        self.stack.pop()

    def read_body(self, body: Sequence[ast.stmt], names: Names, path: Arms) -> bool:
        """Read statements, and return whether they always leave the loop or the function."""
        for statement in body:
            if isinstance(statement, ast.If):
                path = self.read_if(statement, names, path)
            elif self.read_statement(statement, names, path):
                return True
        return False

    def read_if(self, node: ast.If, names: Names, path: Arms) -> Arms:
        """Read the branches, and return the condition behind them."""
        arms = names.arms(node.test)
        self.read_test(node.test, names, path)
        inside = self.record(path, arms)
        opposite = UNKNOWN if arms == UNKNOWN else names.arms(node.test, is_true=False)
        outside = product([path, opposite])
        leaves = self.read_body(node.body, names.copy(), inside)
        if node.orelse:
            if not is_elif(node):
                self.record(path, opposite)
            self.read_body(node.orelse, names.copy(), outside)
        self.read_assignments(node, names)
        if not leaves or node.orelse:
            return path
        return self.record(path, opposite)

    def read_assignments(self, node: ast.stmt, names: Names) -> None:
        """Note the names that are assigned in branches, after these."""
        for each in ast.walk(node):
            if isinstance(each, ast.Assign):
                for target in each.targets:
                    self.assign(target, each.value, names)

    def read_statement(self, node: ast.stmt, names: Names, path: Arms) -> bool:
        """Read any statement but `if`, and return whether it leaves the loop or the function."""
        match node:
            case ast.For() | ast.AsyncFor():
                self.read_loop(node, names, path)
            case ast.While():
                self.read_test(node.test, names, path)
                self.read_body(node.body, names.copy(), self.record(path, names.arms(node.test)))
            case ast.Match():
                self.read_match(node, names, path)
            case ast.Try() | TryStar():
                bodies = [node.body, *(handler.body for handler in node.handlers), node.orelse, node.finalbody]
                for body in bodies:
                    self.read_body(body, names, path)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self.read_expression(item.context_expr, names, path)
                return self.read_body(node.body, names, path)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass
            case _:
                self.read_simple(node, names, path)
        return isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)

    def read_simple(self, node: ast.stmt, names: Names, path: Arms) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.read_expression(child, names, path)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value, names)
        elif isinstance(node, ast.AnnAssign) and node.value:
            self.assign(node.target, node.value, names)

    def assign(self, target: ast.expr, value: ast.expr, names: Names) -> None:
        """Note what a name is after an assignment."""
        if isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) else []
            for each, part in zip(target.elts, parts, strict=False):
                self.assign(each, part, names)
            if not parts:
                self.bind_row(target, (), names)
            if isinstance(value, ast.Call) and last_name(value.func) in SEARCHES:
                for name in target_names(target):
                    names.columns.pop(name, None)  # a part of a value
        if not isinstance(target, ast.Name):
            return
        values, column = names.choices(value), names.column(value)
        is_known = names.known_column(value) is not None
        names.forget(target.id)
        names.assigned[target.id] = value
        if values:
            names.constants[target.id] = values
        elif is_known and column is not None:
            names.columns[target.id] = column

    def read_loop(self, node: ast.For | ast.AsyncFor, names: Names, path: Arms) -> None:
        self.read_expression(node.iter, names, path)
        inside = names.copy()
        path = product([path, self.enter_loop(node.target, node.iter, inside)])
        self.read_body(node.body, inside, path)
        self.read_body(node.orelse, names, path)

    def enter_loop(self, target: ast.expr, source: ast.expr, names: Names) -> Arms:
        """Bind the variables of a loop, and return the condition that the query of its rows has."""
        constants = [item for values in names.choices(source) for item in _iterate(values)]
        if constants:
            for name in target_names(target):
                names.forget(name)
            for item in itertools.islice(constants, MOST_ARMS):
                for name, value in unpack(target, item).items():
                    names.constants.setdefault(name, []).append(value)
            return UNKNOWN
        while isinstance(source, ast.Call) and last_name(source.func) in PASSED_ON and source.args:
            if last_name(source.func) == "enumerate" and isinstance(target, ast.Tuple):
                target = target.elts[-1]
            source = source.args[0]
        query = names.assigned.get(source.id, source) if isinstance(source, ast.Name) else source
        self.bind_row(target, selected_columns(query, names), names)
        return self.query_arms(query, names)

    def bind_row(self, target: ast.expr, columns: Sequence[str], names: Names) -> None:
        for name in target_names(target):
            names.forget(name)
        if isinstance(target, ast.Name):
            names.rows[target.id] = columns
        elif isinstance(target, ast.Tuple):
            own = [last_name(each) for each in target.elts]
            for name, column in zip(own, columns if len(columns) == len(own) else own, strict=True):
                names.columns[name] = column

    def query_arms(self, node: ast.expr, names: Names) -> Arms:
        """Return the condition of a query: the arguments of where(), filter() and the like, joined by AND."""
        parts: list[Arms] = []
        for call in where_calls(node):
            parts += [names.arms(argument) for argument in call.args]
            for keyword in call.keywords:
                values = names.choices(keyword.value)
                if keyword.arg and values:
                    parts.append([((keyword.arg, Literal(values[0], Comparison.EQUAL)),)])
        return product(parts)

    def read_match(self, node: ast.Match, names: Names, path: Arms) -> None:
        self.read_expression(node.subject, names, path)
        for case in node.cases:
            inside = names.copy()
            arms = _pattern_arms(node.subject, case.pattern, inside)
            if case.guard:
                self.read_test(case.guard, inside, path)
                arms = product([arms, inside.arms(case.guard)])
            self.read_body(case.body, inside, self.record(path, arms))

    def read_expression(self, node: ast.expr, names: Names, path: Arms) -> None:
        """Read an expression: the conditions in it, the queries, and the functions that it calls."""
        self.record(path, self.query_arms(node, names))
        self.read_part(node, names, path)

    def read_test(self, node: ast.expr, names: Names, path: Arms) -> None:
        """Read a condition for what is in it besides the comparisons."""
        for each in ast.iter_child_nodes(node) if not isinstance(node, ast.Call) else [node]:
            if isinstance(each, ast.BoolOp | ast.Compare | ast.UnaryOp | ast.NamedExpr):
                self.read_test(each, names, path)
            elif isinstance(each, ast.expr):
                self.read_part(each, names, path, is_test=True)

    def read_part(self, node: ast.expr, names: Names, path: Arms, *, is_test: bool = False) -> None:
        match node:
            case ast.IfExp(test=test, body=body, orelse=other):
                self.read_test(test, names, path)
                self.read_part(body, names, self.record(path, names.arms(test)))
                self.read_part(other, names, path)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self.read_comprehension(node, names, path)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) if not is_test:
                self.record(path, _without_truth(names.arms(node)))
                self.read_test(node, names, path)
            case ast.Subscript(value=value, slice=key) if isinstance(node.ctx, ast.Load):
                self.read_lookup(value, key, names, path)
                self.read_children(node, names, path)
            case ast.Call():
                self.read_call(node, names, path, is_test=is_test)
            case ast.Name() | ast.Attribute() if called := self.find_function(node, names):
                self.read_function(called[0], Names(called[1]), path)
            case ast.Lambda(body=body):
                self.read_part(body, names, path)
            case _:
                self.read_children(node, names, path)

    def read_children(self, node: ast.expr, names: Names, path: Arms) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.read_part(child, names, path)
            elif isinstance(child, ast.keyword):
                self.read_part(child.value, names, path)

    def read_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, names: Names, path: Arms
    ) -> None:
        inside = names.copy()
        for generator in node.generators:
            self.read_part(generator.iter, inside, path)
            path = product([path, self.enter_loop(generator.target, generator.iter, inside)])
            arms = product([inside.arms(condition) for condition in generator.ifs])
            for condition in generator.ifs:
                self.read_test(condition, inside, path)
            path = self.record(path, arms)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.read_part(part, inside, path)

    def read_call(self, node: ast.Call, names: Names, path: Arms, *, is_test: bool) -> None:
        name, owner = last_name(node.func), node.func.value if isinstance(node.func, ast.Attribute) else None
        if owner is not None and name == "get" and node.args:
            self.read_lookup(owner, node.args[0], names, path)
        if not is_test:
            self.read_search(node, name, owner, names, path)
        if called := self.find_function(node.func, names):
            function, module = called
            self.read_function(function, self.bind_arguments(function, node, Names(module), names), path)
        elif owner is not None or not isinstance(node.func, ast.Name):
            self.read_part(owner or node.func, names, path)
        is_where = name in WHERE_METHODS and owner is not None
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if not is_where:
                self.read_part(argument, names, path)

    def read_search(self, node: ast.Call, name: str, owner: ast.expr | None, names: Names, path: Arms) -> None:
        """Record what a call looks for in a text: the separator of split(), a regular expression, a prefix."""
        if owner is None:
            return
        if found := names.find_pattern(node):
            self.record(path, [(term,) for term in found])
            return
        column = names.known_column(owner)
        values = names.choices(node.args[0]) if node.args else []
        if name in SEARCHES and column is not None:
            self.record(
                path, [((column, Literal(value, SEARCHES[name])),) for value in values if isinstance(value, str)]
            )
        elif name in ("startswith", "endswith"):
            self.record(path, names.arms(node))

    def read_lookup(self, mapping: ast.expr, key: ast.expr, names: Names, path: Arms) -> None:
        """Record the keys and the values of a constant mapping in which the value of a column is looked up."""
        values = [each for each in names.choices(mapping) if isinstance(each, dict)]
        if values and isinstance(key, ast.Tuple):
            self.record(path, names.arms(ast.Compare(key, [ast.In()], [mapping])))
        column = names.column(key)
        if values and column is not None and not names.choices(key):
            items = [*values[0], *(value for value in values[0].values() if value is not None)]
            scalars = [item for item in items if item is None or isinstance(item, SCALARS)][:MOST_ARMS]
            self.record(path, [((column, Literal(item, Comparison.EQUAL)),) for item in scalars])

    def find_function(self, node: ast.expr, names: Names) -> tuple[FunctionDef, Module] | None:
        """Return the function that an expression names, of the file or of an imported one of the project."""
        if function := names.function(node):
            return function, names.module
        dotted = dotted_name(node)
        first, _, rest = dotted.partition(".")
        if not dotted or first not in names.module.imports:
            return None
        module_name, _, name = ".".join(filter(None, (names.module.imports[first], rest))).rpartition(".")
        module = find_imported(names.module, module_name)
        return (module.functions[name], module) if module and name in module.functions else None

    def bind_arguments(self, function: FunctionDef, call: ast.Call, inside: Names, names: Names) -> Names:
        """Note what the parameters of a function are for a call."""
        parameters = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        arguments: dict[str, ast.expr] = dict(zip(parameters, call.args, strict=False))
        arguments |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        for name, value in arguments.items():
            if constants := names.choices(value):
                inside.constants[name] = constants
            elif isinstance(value, ast.Name) and value.id in names.rows:
                inside.rows[name] = names.rows[value.id]
            elif (column := names.known_column(value)) is not None:
                inside.columns[name] = column
            elif isinstance(value, ast.Name) and value.id in names.assigned:
                inside.assigned[name] = names.assigned[value.id]
        return inside


def _pattern_arms(subject: ast.expr, pattern: ast.pattern, names: Names) -> Arms:
    """Return the condition of a case, for one value."""
    match pattern:
        case ast.MatchValue(value=value):
            return names.arms(ast.Compare(subject, [ast.Eq()], [value]))
        case ast.MatchSingleton(value=value):
            return names.arms(ast.Compare(subject, [ast.Is()], [ast.Constant(value)]))
        case ast.MatchOr(patterns=patterns):
            return [arm for each in patterns for arm in _pattern_arms(subject, each, names)]
        case ast.MatchAs(pattern=ast.pattern() as inner):
            return _pattern_arms(subject, inner, names)
        case ast.MatchSequence(patterns=patterns) if isinstance(subject, ast.Tuple):
            return product(_pattern_arms(part, each, names) for part, each in zip(subject.elts, patterns, strict=False))
    return UNKNOWN


def _without_truth(arms: Arms) -> Arms:
    """Return arms without bare truth tests: `a or b` may choose a value, not decide."""
    found = [tuple(term for term in arm if term[1].kind != Comparison.TRUTHY) for arm in arms]
    return [arm for arm in found if arm] or UNKNOWN


def _iterate(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple | dict | set | frozenset) else []
