"""The table of verbs fits the functions and the options that it names."""

import inspect
from dataclasses import fields, is_dataclass
from importlib import import_module, util
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import dbkit.commands
from dbkit import cli
from dbkit.cli import VERBS
from dbkit.settings import Settings

# the least that argparse wants of a verb
REQUIRED = {
    "revision": ["-m", "a change"],
    "merge": ["-m", "join"],
    "backfill": ["orders", "--set", "a = 1"],
    "accept": ["abcd"],
    "resolve": ["abcd"],
    "new": ["shop"],
}
LISTS = {
    "roundtrip": ["--only", "a", "b", "--url-env", "A", "--set-env", "A=B", "-x", "c"],
    "trace": ["a", "b", "-x", "c"],
    "psql": ["-c", "SELECT 1"],
}


def function_of(verb: str) -> Any:
    module = cli.module_of(verb)
    return getattr(import_module(f"dbkit.commands.{module}"), module)


def options_class_of(verb: str) -> Any:
    return getattr(import_module(f"dbkit.commands.{cli.module_of(verb)}"), cli.options_class_of(verb), None)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_its_options_as_one_object(verb: str) -> None:
    function = function_of(verb)
    hints = get_type_hints(function)
    returns = hints.pop("return")
    parameters = list(inspect.signature(function).parameters)
    assert set(parameters) == set(hints)
    expected = [] if VERBS[verb].no_project or VERBS[verb].finds_project else [Settings, Path]
    options = options_class_of(verb)
    assert [hints[name] for name in parameters] == [*expected, *([options] if options else [])]
    assert returns in (int, NoneType) or verb == "psql"


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_field_and_every_field_an_option(verb: str) -> None:
    options = {option.dest for option in VERBS[verb].options} | ({"arguments"} if VERBS[verb].passes_on else set())
    made = options_class_of(verb)
    if not options:
        assert made is None
        return
    assert is_dataclass(made)
    assert made.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert {field.name for field in fields(made)} == options


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of a type, as far as these options use types."""
    if isinstance(hint, UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        inner, *rest = get_args(hint)
        types = [inner] * len(value) if rest == [...] else [inner, *rest]  # type: ignore[arg-type]
        return isinstance(value, tuple) and all(map(fits, value, types))
    return type(value) is hint or (isinstance(hint, type) and issubclass(hint, Path) and isinstance(value, hint))


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        *((verb, REQUIRED.get(verb, [])) for verb in VERBS),
        *LISTS.items(),
        ("lint", ["--sizes", "x"]),
        ("preflight", ["--answers", "x"]),
    ],
)
def test_what_is_parsed_has_the_types_of_the_fields(verb: str, arguments: list[str]) -> None:
    _function, made = cli.parse([verb, *arguments]).load()
    for options in made:
        for name, hint in get_type_hints(type(options)).items():
            assert fits(getattr(options, name), hint), name


def test_the_choices_of_format_are_the_modules_that_render_it() -> None:
    for verb in ("roundtrip", "lint", "trace", "preflight"):
        (choices,) = (option.keywords["choices"] for option in VERBS[verb].options if "--format" in option.flags)
        for name in ("text", "json", "junit", "github", "sarif"):
            can_render = hasattr(import_module(f"dbkit.reports.{name}"), f"render_{verb}")
            assert (name in choices) == can_render, (verb, name)


def test_a_module_of_commands_with_a_verb_s_name_is_that_verb() -> None:
    (directory,) = dbkit.commands.__path__
    modules = {path.stem for path in Path(directory).glob("*.py")} - {"__init__"}
    assert {cli.module_of(verb) for verb in VERBS} <= modules
    for module in modules - {cli.module_of(verb) for verb in VERBS}:
        assert util.find_spec(f"dbkit.commands.{module}")
        assert not hasattr(import_module(f"dbkit.commands.{module}"), module), f"{module} looks like a verb"
