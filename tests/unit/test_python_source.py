"""What the Python of a revision file compares, which of its branches have not run, and the lines that run."""

import importlib
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from dbkit.coverage.line_trace import tracing_lines
from dbkit.coverage.python_source import Comparison, Literal, read_conditions
from dbkit.coverage.unreached import unreached_branches

MODULE = """\
import re
from collections import namedtuple
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum

import sqlalchemy as sa
from alembic import context, op

STATES = ("sent", "paid")
CODES = {"USA": "US", "Germany": "DE"}
BACK = {new: old for old, new in CODES.items()}
LIMIT = 100
WANTED = frozenset({7, 8})
PHONE = re.compile(r"[0-9]{3}")
t = sa.table("t", sa.column("id"), sa.column("status"))


class Status(str, Enum):
    SENT = "sent"
    PAID = "paid"


@dataclass(frozen=True)
class Rename:
    old: str
    new: str


RENAMES = [Rename("a", "b"), Rename(old="c", new="d")]


def upgrade() -> None:
    bind = op.get_bind()
    rows = bind.execute(sa.text("SELECT * FROM t"))
"""


def eq(value: object) -> Literal:
    return Literal(value, Comparison.EQUAL)


def lit(value: object, kind: str) -> Literal:
    return Literal(value, Comparison[kind.removeprefix("not ")], kind.startswith("not "))


CONDITIONS: dict[str, tuple[str, list[dict[str, list[Literal]]]]] = {
    "attribute": ('for row in rows:\n    if row.status == "sent":\n        work(row)', [{"status": [eq("sent")]}]),
    "key": ('for row in rows:\n    if row["status"] == "sent":\n        work(row)', [{"status": [eq("sent")]}]),
    "the other way round": ('for row in rows:\n    if "sent" == row.status:\n        work(row)', [{"status": [eq("sent")]}]),
    "tuple": ('for row in rows:\n    if row["status"] in ("a", "b"):\n        work(row)', [{"status": [eq("a")]}, {"status": [eq("b")]}]),
    "not in": ('for row in rows:\n    if row.status not in ("a", "b"):\n        work(row)', [{"status": [lit("a", "not EQUAL"), lit("b", "not EQUAL")]}]),
    "constant tuple": ("for row in rows:\n    if row.status in STATES:\n        work(row)", [{"status": [eq("sent")]}, {"status": [eq("paid")]}]),
    "constant set": ("for row in rows:\n    if row.id in WANTED:\n        work(row)", [{"id": [eq(7)]}, {"id": [eq(8)]}]),
    "index": ("for row in rows:\n    if row[1] > 5:\n        work(row)", [{"": [lit(5, "GREATER")]}]),
    "index of a select": (
        'for row in bind.execute(sa.text("SELECT t.id, n AS amount FROM t")):\n    if row[1] > 5:\n        work(row)', [{"amount": [lit(5, "GREATER")]}]
    ),
    "limits": (
        "for row in rows:\n    if row.a >= 5 and row.b <= 6 and row.c < 7:\n        work(row)",
        [{"a": [lit(5, "not LESS")], "b": [lit(6, "not GREATER")], "c": [lit(7, "LESS")]}],
    ),
    "limits on both sides": ("for row in rows:\n    if 1 < row.a <= 5:\n        work(row)", [{"a": [lit(1, "GREATER"), lit(5, "not GREATER")]}]),
    "a constant limit": ("for row in rows:\n    if row.a > LIMIT:\n        work(row)", [{"a": [lit(100, "GREATER")]}]),
    "a negative number": ("for row in rows:\n    if row.a == -1:\n        work(row)", [{"a": [eq(-1)]}]),
    "unpacked": ('for id, status in rows:\n    if status == "x":\n        work(id)', [{"status": [eq("x")]}]),
    "unpacked under other names": (
        'for i, s in bind.execute(sa.select(t.c.id, t.c.status)):\n    if s == "x":\n        work(i)', [{"status": [eq("x")]}]
    ),
    "assigned": ('for row in rows:\n    s = row.status\n    if s == "x":\n        work(row)', [{"status": [eq("x")]}]),
    "not equal": ('for row in rows:\n    if row.status != "x":\n        work(row)', [{"status": [lit("x", "not EQUAL")]}]),
    "truth": ("for row in rows:\n    if row.amount > 100 and not row.paid:\n        work(row)", [{"amount": [lit(100, "GREATER")], "paid": [lit(True, "not TRUTHY")]}]),
    "truth of a name": ("for id, paid in rows:\n    if paid:\n        work(id)", [{"paid": [lit(True, "TRUTHY")]}]),
    "is True": ("for row in rows:\n    if row.paid is True:\n        work(row)", [{"paid": [eq(True)]}]),
    "none": ("for row in rows:\n    if row.a is None or row.b is not None:\n        work(row)", [{"a": [lit(None, "IS_NONE")]}, {"b": [lit(None, "not IS_NONE")]}]),
    "or": ('for row in rows:\n    if row.a == 1 or (row.b == 2 and row.c == "x"):\n        work(row)', [{"a": [eq(1)]}, {"b": [eq(2)], "c": [eq("x")]}]),
    "not and": (
        "for row in rows:\n    if not (row.a == 1 and row.b == 2):\n        work(row)", [{"a": [lit(1, "not EQUAL")]}, {"b": [lit(2, "not EQUAL")]}]
    ),
    "nested ifs": (
        "for row in rows:\n    if row.a == 1:\n        if row.b == 2:\n            work(row)", [{"a": [eq(1)]}, {"a": [eq(1)], "b": [eq(2)]}]
    ),
    "elif and else": (
        "for row in rows:\n    if row.a == 1:\n        f(row)\n    elif row.a == 2:\n        g(row)\n    else:\n        if row.b == 3:\n            h(row)",
        [{"a": [eq(1)]}, {"a": [lit(1, "not EQUAL"), eq(2)]}, {"a": [lit(1, "not EQUAL"), lit(2, "not EQUAL")]},
         {"a": [lit(1, "not EQUAL"), lit(2, "not EQUAL")], "b": [eq(3)]}],
    ),
    "a guard": (
        "for row in rows:\n    if row.a == 1:\n        continue\n    if row.b == 2:\n        work(row)",
        [{"a": [eq(1)]}, {"a": [lit(1, "not EQUAL")]}, {"a": [lit(1, "not EQUAL")], "b": [eq(2)]}],
    ),
    "prefix": ('for row in rows:\n    if row.name.startswith("x"):\n        work(row)', [{"name": [lit("x", "PREFIX")]}]),
    "prefixes": ('for row in rows:\n    if row.name.startswith(("x", "y")):\n        work(row)', [{"name": [lit("x", "PREFIX")]}, {"name": [lit("y", "PREFIX")]}]),
    "suffix": ('for id, name in rows:\n    if not name.endswith("x"):\n        work(id)', [{"name": [lit("x", "not SUFFIX")]}]),
    "slices": ('for row in rows:\n    if row.name[:2] == "xy" and row.name[-3:] == "abc":\n        work(row)', [{"name": [lit("xy", "PREFIX"), lit("abc", "SUFFIX")]}]),
    "member": ('for row in rows:\n    if "vip" in row.tags:\n        work(row)', [{"tags": [lit("vip", "MEMBER")]}]),
    "substring": ('for row in rows:\n    if "@" in row.email.lower():\n        work(row)', [{"email": [lit("@", "SUBSTRING")]}]),
    "pattern": ('for row in rows:\n    if re.search(r"^a.*z$", row.name):\n        work(row)', [{"name": [lit("^a.*z$", "PATTERN")]}]),
    "pattern at the beginning": ('for row in rows:\n    if re.match("a|b", row.name):\n        work(row)', [{"name": [lit("^(?:a|b)", "PATTERN")]}]),
    "compiled pattern": ("for row in rows:\n    if PHONE.fullmatch(row.phone):\n        work(row)", [{"phone": [lit("^(?:[0-9]{3})$", "PATTERN")]}]),
    "lower": ('for row in rows:\n    if row.name.strip().lower() == "x":\n        work(row)', [{"name": [eq("x")]}]),
    "conversion": ('for row in rows:\n    if int(row.n) == 5 or str(row.m) == "6":\n        work(row)', [{"n": [eq(5)]}, {"m": [eq("6")]}]),
    "length": ("for row in rows:\n    if len(row.name) > 3:\n        work(row)", [{"name": [lit(4, "LENGTH")]}]),
    "length below": ("for id, name in rows:\n    if len(name) < 3:\n        work(id)", [{"name": [lit(2, "LENGTH")]}]),
    "lookup": (
        "for row in rows:\n    work(row.id, CODES.get(row.country))",
        [{"country": [eq("USA")]}, {"country": [eq("Germany")]}, {"country": [eq("US")]}, {"country": [eq("DE")]}],
    ),
    "lookup by key": (
        'for row in rows:\n    work(row.id, BACK[row["country"]])',
        [{"country": [eq("US")]}, {"country": [eq("DE")]}, {"country": [eq("USA")]}, {"country": [eq("Germany")]}],
    ),
    "membership in a map": ("for row in rows:\n    if row.country in CODES:\n        work(row)", [{"country": [eq("USA")]}, {"country": [eq("Germany")]}]),
    "a local map": ('codes = {"a": 1}\nfor row in rows:\n    row.x = codes[row.kind]', [{"kind": [eq("a")]}, {"kind": [eq(1)]}]),
    "enum": ("for row in rows:\n    if row.status == Status.SENT.value or row.status is Status.PAID:\n        work(row)", [{"status": [eq("sent")]}, {"status": [eq("paid")]}]),
    "dataclasses": ("for row in rows:\n    for each in RENAMES:\n        if row.name == each.old:\n            work(row)", [{"name": [eq("a")]}, {"name": [eq("c")]}]),
    "items of a map": (
        "for old, new in CODES.items():\n    for row in rows:\n        if row.country == old:\n            work(row)", [{"country": [eq("USA")]}, {"country": [eq("Germany")]}]
    ),
    "dates": (
        'for row in rows:\n    if row.day < date(2020, 1, 2) and row.at == datetime(2021, 1, 1) and row.n == Decimal("1.50"):\n        work(row)',
        [{"day": [lit(date(2020, 1, 2), "LESS")], "at": [eq(datetime(2021, 1, 1))], "n": [eq(Decimal("1.50"))]}],
    ),
    "match": (
        'for row in rows:\n    match row.kind:\n        case "a" | "b":\n            f(row)\n        case None:\n            g(row)\n        case "c" if row.n > 3:\n            h(row)\n        case _:\n            i(row)',
        [{"kind": [eq("a")]}, {"kind": [eq("b")]}, {"kind": [lit(None, "IS_NONE")]}, {"kind": [eq("c")], "n": [lit(3, "GREATER")]}],
    ),
    "comprehension": ('ids = [row.id for row in rows if row.status == "x"]', [{"status": [eq("x")]}]),
    "generator": ('work(row for row in rows if row.status == "x" and row.n > 2)', [{"status": [eq("x")], "n": [lit(2, "GREATER")]}]),
    "ternary": ('for row in rows:\n    row.n = 1 if row.status == "x" else 2', [{"status": [eq("x")]}]),
    "assigned comparison": ('for row in rows:\n    is_x = row.status == "x"\n    work(is_x)', [{"status": [eq("x")]}]),
    "walrus": ('for row in rows:\n    if (s := row.status) and s.lower() == "x":\n        work(row)', [{"status": [lit(True, "TRUTHY"), eq("x")]}]),
    "key of a document": ('for row in rows:\n    if row.data.get("kind") == "x" or row.data["n"]["m"] == 2:\n        work(row)', [{"kind": [eq("x")]}, {"m": [eq(2)]}]),
    "mapping of a row": ('for row in rows.mappings():\n    if row.get("kind", "") == "x" or row._mapping["n"] == 2:\n        work(row)', [{"kind": [eq("x")]}, {"n": [eq(2)]}]),
    "getattr": ('for row in rows:\n    if getattr(row, "kind") == "x":\n        work(row)', [{"kind": [eq("x")]}]),
    "f-string": ('for row in rows:\n    if row.kind == f"x{row.n}":\n        work(row)', []),
    "two columns": ("for row in rows:\n    if row.a == row.b:\n        work(row)", []),
    "ORM session": (
        'session = sa.orm.Session(bind=bind)\nfor m in session.query(Member).filter(Member.kind == "x").filter_by(n=3).all():\n    if m.status == "y":\n        m.status = "z"',
        [{"kind": [eq("x")], "n": [eq(3)]}, {"kind": [eq("x")], "n": [eq(3)], "status": [eq("y")]}],
    ),
    "ORM operators": (
        'for m in session.scalars(sa.select(Member).where(Member.kind.in_(["x", "y"]), Member.name.like("q%"), Member.mail.op("~")("[A-Z]"))):\n    work(m)',
        [{"kind": [eq("x")], "name": [lit("q", "PREFIX")], "mail": [lit("[A-Z]", "PATTERN")]}, {"kind": [eq("y")], "name": [lit("q", "PREFIX")], "mail": [lit("[A-Z]", "PATTERN")]}],
    ),
    "Core": (
        'bind.execute(t.update().where((t.c.status == "x") & t.c.n.is_(None)).values(status="y"))', [{"status": [eq("x")], "n": [lit(None, "IS_NONE")]}]
    ),
    "Core or": ('bind.execute(t.delete().where(sa.or_(t.c.status == "x", ~(t.c.n > 2))))', [{"status": [eq("x")]}, {"n": [lit(2, "not GREATER")]}]),
    "split": ('for row in rows:\n    work(row.name.split("/"))', [{"name": [lit("/", "SUBSTRING")]}]),
    "replace": ('for row in rows:\n    row.name = re.sub(r"\\s+", " ", row.name.removeprefix("x-"))', [{"name": [lit("\\s+", "PATTERN")]}, {"name": [lit("x-", "PREFIX")]}]),
    "environment": ('if bind.dialect.name == "postgresql" and not context.is_offline_mode():\n    op.execute("x")', []),
    "while": ('while rows and rows[0].status == "x":\n    work(rows.pop())', [{"status": [eq("x")]}]),
    "try and with": ('with bind.begin():\n    try:\n        for row in rows:\n            if row.a == 1:\n                work(row)\n    except KeyError:\n        pass', [{"a": [eq(1)]}]),
    "a function of each kind": (
        'handlers = {"a": f, "b": g}\nfor row in rows:\n    handlers[row.kind](row)', [{"kind": [eq("a")]}, {"kind": [eq("b")]}]
    ),
    "filter with a function": ('for row in filter(lambda r: r.status == "x", rows):\n    work(row)', [{"status": [eq("x")]}]),
    "no match": (
        'for row in rows:\n    if (m := re.match("a", row.code)) is None:\n        continue\n    row.a = 1 if row.b == 2 else 3',
        [{"code": [lit("^(?:a)", "not PATTERN")]}, {"code": [lit("^(?:a)", "PATTERN")]},
         {"code": [lit("^(?:a)", "PATTERN")], "b": [eq(2)]}],
    ),
    "digits": ("for row in rows:\n    if row.code.isdigit():\n        row.n = 1", [{"code": [lit("^[0-9]+$", "PATTERN")]}]),
    "remainder": ("for row in rows:\n    if row.id % 3 == 1:\n        work(row)", [{"id": [eq(4)]}]),
    "absolute value": ("for row in rows:\n    if abs(row.n) > 60 * 60:\n        work(row)", [{"n": [lit(3600, "GREATER")]}]),
    "tuples": (
        'pairs = {("x", 1), ("y", 2)}\nfor row in rows:\n    if (row.a, row.b) in pairs or (row.c, row.d) == ("z", 3):\n        work(row)',
        [{"a": [eq("x")], "b": [eq(1)]}, {"a": [eq("y")], "b": [eq(2)]}, {"c": [eq("z")], "d": [eq(3)]}],
    ),
    "lookup by a tuple": (
        'pairs = {("x", 1): "p"}\nfor row in rows:\n    row.c = pairs.get((row.a, row.b))', [{"a": [eq("x")], "b": [eq(1)]}]
    ),
    "parts of a text": (
        'for row in rows:\n    first, _, last = row.name.partition(" ")\n    if not last:\n        row.a = first', [{"name": [lit(" ", "SUBSTRING")]}]
    ),
    "days ago": ("for row in rows:\n    if row.day < date(2020, 1, 31) - timedelta(days=30):\n        work(row)", [{"day": [lit(date(2020, 1, 1), "LESS")]}]),
    "twice the same": ("for row in rows:\n    if row.a == 1:\n        f(row)\nfor row in rows:\n    if row.a == 1:\n        g(row)", [{"a": [eq(1)]}]),
}  # fmt: skip

HELPERS: dict[str, tuple[str, str, list[dict[str, list[Literal]]]]] = {
    "a function of the file": (
        "for row in rows:\n    fix(row)", 'def fix(row):\n    if row.status == "x":\n        op.execute("x")', [{"status": [eq("x")]}]
    ),
    "a function with a value": (
        "for row in rows:\n    fix(row.status)", 'def fix(value):\n    if value == "x":\n        op.execute("x")', [{"status": [eq("x")]}]
    ),
    "a function with a constant": (
        "for row in rows:\n    fix(row, CODES)", "def fix(row, codes):\n    if row.country in codes:\n        op.execute('x')", [{"country": [eq("USA")]}, {"country": [eq("Germany")]}]
    ),
    "a predicate": (
        "for row in rows:\n    if is_wanted(row):\n        op.execute('x')", 'def is_wanted(row):\n    return row.status == "x"', [{"status": [eq("x")]}]
    ),
    "a function that is not called": ("pass", 'def fix(row):\n    if row.status == "x":\n        op.execute("x")', []),
    "a function that calls itself": (
        "fix(rows)", 'def fix(row):\n    if row.status == "x":\n        fix(row)', [{"status": [eq("x")]}]
    ),
    "a function that is passed on": ("work(map(fix, rows))", 'def fix(row):\n    if row.status == "x":\n        op.execute("x")', [{"status": [eq("x")]}]),
}  # fmt: skip

# a body, and the text of each branch that is not reached, where the lines with `# ran` were executed
BRANCHES: dict[str, tuple[str, list[str]]] = {
    "a loop without rows": ("for row in rows:  # ran\n    op.execute('x')", ["for row in rows"]),
    "a loop with rows": ("for row in rows:  # ran\n    op.execute('x')  # ran", []),
    "a loop over a literal": ("for name in ('a', 'b'):\n    op.execute(name)", []),
    "a loop over a constant": ("for old, new in CODES.items():\n    op.execute(old)", []),
    "a loop over a sorted constant": ("for number, name in enumerate(sorted(STATES)):\n    op.execute(name)", []),
    "a loop over a range": ("for number in range(10):\n    op.execute('x')", []),
    "a branch": ("for row in rows:  # ran\n    if row.a == 1:  # ran\n        op.execute('x')\n    row.b = 2  # ran", ["if row.a == 1"]),
    "elif and else": (
        "for row in rows:  # ran\n    if row.a == 1:  # ran\n        f(row)  # ran\n    elif row.a == 2:  # ran\n        g(row)\n    else:\n        h(row)",
        ["elif row.a == 2", "else after row.a == 2"],
    ),
    "an assignment": ("for row in rows:  # ran\n    if row.a == 1:  # ran\n        row.b = 2\n    elif row.a == 2:  # ran\n        row['b'] = 3\n    else:\n        n = 1",
                      ["if row.a == 1", "elif row.a == 2"]),
    "match": ("for row in rows:  # ran\n    match row.a:  # ran\n        case 'x':  # ran\n            f(row)\n        case _:\n            g(row)  # ran", ["case 'x'"]),
    "only the loop around": ("for row in rows:  # ran\n    if row.a == 1:\n        op.execute('x')", ["for row in rows"]),
    "a loop in a loop": ("for row in rows:  # ran\n    for each in row.items:  # ran\n        op.execute('x')", ["for each in row.items"]),
    "a branch in an unreached branch": (
        "for row in rows:  # ran\n    if row.a:  # ran\n        if row.b:\n            op.execute('x')", ["if row.a"],
    ),
    "a branch outside of loops": ("if flag(): # ran\n    op.execute('x')", []),
    "rows outside of loops": ("if not bind.scalar(sa.text('SELECT count(*) FROM t')):  # ran\n    op.execute('x')", ["if not bind.scalar(sa.text('SELECT count(*) FROM t'))"]),
    "rows outside of loops, in a name": ("found = bind.execute(sa.select(t.c.id)).first()  # ran\nif found is None:  # ran\n    op.execute('x')\nelse:\n    f(found)  # ran", ["if found is None"]),
    "else, outside of loops": ("total = bind.execute(sa.text('SELECT 1 FROM t')).rowcount  # ran\nif total > 0:  # ran\n    f(total)  # ran\nelse:\n    op.execute('x')", ["else after total > 0"]),
    "rows through another name": ("result = bind.execute(sa.text('SELECT id FROM t'))  # ran\nfound = [row.id for row in result]  # ran\nif found:  # ran\n    op.execute('x')", ["if found"]),
    "rows of the ORM": ("session = Session(bind)  # ran\nif session.query(t).count() == 0:  # ran\n    session.add(t())", ["if session.query(t).count() == 0"]),
    "a rest after an early return": ("if bind.scalar(sa.text('SELECT v FROM t')) != 'x':  # ran\n    return  # ran\nop.execute('x')", ["after if bind.scalar(sa.text('SELECT v FROM t')) != 'x'"]),
    "a rest after a return for the environment": ("if bind.dialect.name != 'sqlite':  # ran\n    return  # ran\nop.execute('x')", []),
    "match outside of loops": ("match bind.scalar(sa.text('SELECT v FROM t')):  # ran\n    case 'x':\n        op.execute('x')\n    case _:\n        pass  # ran", ["case 'x'"]),
    "a name with a type": ("count: int = bind.scalar(sa.text('SELECT count(*) FROM t'))  # ran\nif count > 9:  # ran\n    op.execute('x')", ["if count > 9"]),
    "two names": ("a, b = bind.execute(sa.text('SELECT a, b FROM t')).one()  # ran\nif a == b:  # ran\n    op.execute('x')", ["if a == b"]),
    "a walrus": ("if (found := bind.scalar(sa.text('SELECT a FROM t'))) is None:  # ran\n    pass  # ran\nif found == 3:  # ran\n    op.execute('x')", ["if found == 3"]),
    "a counter": ("count = 0\nfor row in bind.execute(sa.text('SELECT 1 FROM t')):  # ran\n    count += row[0]  # ran\nif count > 9:  # ran\n    op.execute('x')", ["if count > 9"]),
    "a helper": ("def has_rows(bind):\n    return bind.scalar(sa.text('SELECT count(*) FROM t')) > 0\nif not has_rows(bind):  # ran\n    op.execute('x')", ["if not has_rows(bind)"]),
    "a helper for the catalog": ("SQL = 'SELECT 1 FROM information_schema.columns'\ndef is_there(bind):\n    return bind.execute(sa.text(SQL)).first() is not None\nif not is_there(bind):  # ran\n    op.execute('x')", []),
    "the server": ("if 'Cockroach' in bind.exec_driver_sql('SELECT version()').scalar():  # ran\n    op.execute('x')\nif bind.scalar(sa.select(sa.func.version())) == 'x':  # ran\n    op.execute('x')\nif bind.scalar(sa.select(sa.func.to_regclass('x'))) is None:  # ran\n    op.execute('x')\nif bind.scalar(sa.text('SELECT extract(year FROM now())')) > 2030:  # ran\n    op.execute('x')", []),
    "the version table": ("if bind.scalar(sa.text('SELECT version_num FROM alembic_version')) == 'x':  # ran\n    op.execute('x')", []),
    "another object": ("if client.query('x'):  # ran\n    op.execute('x')", []),
    "an early return": ("if bind.scalar(sa.text('SELECT count(*) FROM t')) == 0:  # ran\n    return\nop.execute('x')  # ran", []),
    "the catalog outside of loops": ("if bind.scalar(sa.text(\"SELECT to_regclass('t')\")) is None:  # ran\n    op.execute('x')", []),
    "settings outside of loops": ("if bind.scalar(sa.text(\"SELECT current_setting('x.y', true)\")) == 'a':  # ran\n    op.execute('x')\nversion = bind.execute(sa.text('SHOW server_version_num')).scalar()  # ran\nif int(version) > 170000:  # ran\n    op.execute('x')", []),
    "columns outside of loops": ("columns = [each['name'] for each in sa.inspect(bind).get_columns('t')]  # ran\nif 'a' not in columns:  # ran\n    op.execute('x')", []),
    "the environment outside of loops": ("if os.environ.get('X') and bind.scalar(sa.text('SELECT 1 FROM t')):  # ran\n    op.execute('x')", []),
    "a name with another value, too": ("done = flag()  # ran\nif done:  # ran\n    op.execute('x')", []),
    "continue": ("for row in rows:  # ran\n    if row.a:  # ran\n        continue\n    op.execute('x')  # ran", []),
    "work and continue": ("for row in rows:  # ran\n    if row.a:  # ran\n        op.execute('x')\n        continue\n    op.execute('x')  # ran", ["if row.a"]),
    "raise": ("for row in rows:  # ran\n    if row.a:  # ran\n        names = find(row)\n        raise ValueError(names)\n    op.execute('x')  # ran", []),
    "a log": ("for row in rows:  # ran\n    if row.a:  # ran\n        log.warning('x %s', row)\n        print(row)\n        continue\n    op.execute('x')  # ran", []),
    "offline": ("for row in rows:  # ran\n    if context.is_offline_mode():  # ran\n        op.execute('x')\n    else:\n        op.execute('y')  # ran", []),
    "dialect": ("for row in rows:  # ran\n    if bind.dialect.name != 'postgresql':  # ran\n        op.execute('x')", []),
    "inspector": ("for name in tables():  # ran\n    if not inspector.has_table(name):  # ran\n        op.execute('x')\n    if has_table(name):  # ran\n        op.execute('x')", []),
    "the environment": ("for row in rows:  # ran\n    if os.environ.get('APP_ENV') == 'x' or os.getenv('X'):  # ran\n        op.execute('x')", []),
    "a loop under a check of the environment": ("if not context.is_offline_mode():  # ran\n    for row in rows:  # ran\n        op.execute('x')", ["for row in rows"]),
    "a loop in a branch that is not for this environment": ("if bind.dialect.name == 'sqlite':  # ran\n    for row in rows:\n        op.execute('x')", []),
    "a handler": ("for row in rows:  # ran\n    try:  # ran\n        f(row)  # ran\n    except KeyError:\n        if row.a:\n            op.execute('x')", []),
    "while": ("while batch():  # ran\n    op.execute('x')", ["while batch()"]),
    "an async loop": ("async def run():\n    async for row in rows:  # ran\n        op.execute('x')\nrun()", ["for row in rows"]),
    "a column with the name of the settings": ("for row in rows:  # ran\n    settings = row.settings  # ran\n    if settings['a']:  # ran\n        op.execute('x')", ["if settings['a']"]),
    "a loop over a list of objects": ("columns = [sa.Column(name) for name in STATES]  # ran\nmore = (sa.Column('a'),)\nfor column in [*more, sa.Column('b')]:\n    op.add_column('t', column)\n"
                                      "for column in more:\n    op.add_column('t', column)", []),
    "a loop in a loop over a list": (
        "tables = [('t', [sa.Column('a')])]  # ran\nfor table, columns in tables:\n    for column in columns:\n        op.add_column(table, column)", []
    ),
    "a loop over a list of rows alone": ("for row in [*rows]:  # ran\n    op.execute('x')", ["for row in [*rows]"]),
    "a loop over a list that is filled": ("found = []  # ran\nfor row in rows:  # ran\n    found.append(row)  # ran\nfor row in found:  # ran\n    op.execute('x')", ["for row in found"]),
    "a loop over the schema": ("for fk in inspector.get_foreign_keys('t'):  # ran\n    op.drop_constraint(fk['name'])", []),
    "a loop over a list of the schema": (
        "fks = [fk for fk in sa.inspect(bind).get_foreign_keys('t') if fk['name']]  # ran\nfor fk in sorted(fks):  # ran\n    op.drop_constraint(fk['name'])", []
    ),
    "a loop over the catalog": (
        "found = bind.execute(sa.text('SELECT conname FROM pg_constraint'))  # ran\nfor row in found.fetchall():  # ran\n    op.execute(row.conname)", []
    ),
    "a loop over a list of rows": (
        "found = [row for row in rows if row.a]  # ran\nfor row in found:  # ran\n    op.execute('x')", ["for row in found"]
    ),
    "names of a row": ("for id, (a, b) in rows:  # ran\n    op.execute('x')", ["for id, (a, b) in rows"]),
    "with": ("with op.batch_alter_table('t') as batch:  # ran\n    for row in rows:  # ran\n        batch.drop_column('x')", ["for row in rows"]),
}  # fmt: skip


def write(path: Path, body: str, before: str = "") -> Path:
    start = MODULE.replace("def upgrade()", f"{before}\n\n\ndef upgrade()")
    path.write_text(start + textwrap.indent(body, "    ") + "\n\n\ndef downgrade() -> None:\n    pass\n")
    return path


def found_in(path: Path) -> list[dict[str, list[Literal]]]:
    return [{name: list(values) for name, values in each.values.items()} for each in read_conditions(path)]


@pytest.mark.parametrize(("body", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_what_python_compares(body: str, expected: list[dict[str, list[Literal]]], tmp_path: Path) -> None:
    assert found_in(write(tmp_path / "revision.py", body)) == expected


@pytest.mark.parametrize(("body", "before", "expected"), HELPERS.values(), ids=HELPERS)
def test_what_functions_of_the_file_compare(
    body: str, before: str, expected: list[dict[str, list[Literal]]], tmp_path: Path
) -> None:
    assert found_in(write(tmp_path / "revision.py", body, before)) == expected


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Write a module into the project's directory, and import it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "alembic.ini").touch()
    names: list[str] = []

    def write_and_load(name: str, text: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return importlib.import_module(name)

    yield write_and_load
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("from dbkit_test_helpers import remap", "remap"),
        ("from dbkit_test_helpers import remap as again", "again"),
        ("import dbkit_test_helpers", "dbkit_test_helpers.remap"),
        ("import dbkit_test_helpers as helpers", "helpers.remap"),
    ],
)
def test_helper_modules_are_read(statement: str, call: str, load: Callable[[str, str], Any], tmp_path: Path) -> None:
    load("dbkit_test_helpers", "KINDS = ('a', 'b')\n\ndef remap(rows, wanted):\n    for row in rows:\n"
         "        if row.kind in KINDS and row.state == wanted:\n            row.x = 1\n")  # fmt: skip
    (tmp_path / "versions").mkdir()
    path = write(tmp_path / "versions" / "revision.py", f'{call}(rows, "x")', statement)
    assert found_in(path) == [{"kind": [eq("a")], "state": [eq("x")]}, {"kind": [eq("b")], "state": [eq("x")]}]


def test_modules_outside_of_the_project_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "revision.py", "textwrap.dedent(rows)", "import textwrap")
    assert found_in(path) == []


@pytest.mark.parametrize(
    "text", ["", "def upgrade(:\n", "def upgrade():\n    for x in y:\n        if x.a == 'x':\n            z()\n"]
)
def test_files_without_functions_and_with_errors(text: str, tmp_path: Path) -> None:
    path = tmp_path / "revision.py"
    path.write_text(text)
    assert len(found_in(path)) == ("x.a" in text)
    assert len(unreached_branches(path, [])) == ("x.a" in text)


def test_branches_in_functions_that_have_run(tmp_path: Path) -> None:
    helpers = "def ran(rows):\n    for row in rows:\n        row.x = 1\n\ndef not_run(rows):\n    for row in rows:\n        row.x = 2"
    path = write(tmp_path / "revision.py", "ran(rows)\nif context.is_offline_mode():\n    not_run(rows)", helpers)
    line = path.read_text().splitlines().index("    for row in rows:") + 1
    assert [each.line for each in unreached_branches(path, [line])] == [line]


@pytest.mark.parametrize(("body", "expected"), BRANCHES.values(), ids=BRANCHES)
def test_branches_that_have_not_run(body: str, expected: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "revision.py", body)
    lines = path.read_text().splitlines()
    found = unreached_branches(path, [number for number, line in enumerate(lines, 1) if line.endswith("# ran")])
    assert [each.words for each in found] == expected
    assert all(each.is_decided for each in found)
    assert not any(each.is_decided for each in unreached_branches(path, []))
    for each in found:
        is_rest = each.words.startswith("after if ")
        assert is_rest or each.words.split()[0] in lines[each.line - 1] or "else:" in lines[each.line - 2]


def test_names_that_are_made_of_each_other_take_no_long_time(tmp_path: Path) -> None:
    names = "abcdefgh"
    lines = [f"{one} = {' + '.join(names)} + f({one}, {number})" for number in range(40) for one in names]
    body = "\n".join(
        [
            "a = bind.scalar(sa.text('SELECT 1 FROM t'))",
            *lines,
            *(f"if {each} == 1:\n    op.execute('x')" for each in names),
        ]
    )
    started = time.process_time()
    found = unreached_branches(write(tmp_path / "revision.py", body), [])
    assert len(found) == len(names)
    # a tenth of a second; where each name is followed each time, it does not end
    assert time.process_time() - started < 10


def test_functions_that_call_each_other_are_read_once(tmp_path: Path) -> None:
    helpers = "def one(bind):\n    return two(bind)\n\ndef two(bind):\n    return one(bind) or bind.scalar(sa.text('SELECT 1 FROM t'))"
    path = write(tmp_path / "revision.py", "if one(bind):\n    op.execute('x')", helpers)
    assert [each.words for each in unreached_branches(path, [])] == ["if one(bind)"]


def test_lines_that_run_are_traced(load: Callable[[str, str], Any], tmp_path: Path) -> None:
    module = load("dbkit_test_traced", "def run(n):\n    if n > 1:\n        return 1\n    return 2\n")
    other = load("dbkit_test_untraced", "def run():\n    return 3\n")
    path = tmp_path / "dbkit_test_traced.py"
    before = sys.gettrace()
    with tracing_lines([path]) as lines:
        module.run(1)
        other.run()
    assert sys.gettrace() is before
    assert lines == {path: {2, 4}}
    module.run(2)
    assert lines == {path: {2, 4}}
    with tracing_lines([path]) as again:
        module.run(1)
        module.run(2)
    assert again == {path: {2, 3, 4}}


def test_a_tracer_that_was_there_sees_the_same_lines(load: Callable[[str, str], Any], tmp_path: Path) -> None:
    module = load("dbkit_test_traced", "def run(n):\n    if n > 1:\n        return 1\n    return 2\n")
    path = tmp_path / "dbkit_test_traced.py"
    seen: list[tuple[str, int]] = []

    def tracer(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != str(path):
            return None
        seen.append((event, frame.f_lineno))
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        module.run(1)
        alone = list(seen)
        seen.clear()
        with tracing_lines([path]) as lines:
            module.run(1)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert seen == alone
    assert lines == {path: {2, 4}}


def test_a_tracer_that_installs_itself_again(load: Callable[[str, str], Any], tmp_path: Path) -> None:
    """As coverage.py's does in C."""
    module = load("dbkit_test_traced", "def run():\n    return one() + one()\n\ndef one():\n    return 1\n")
    path = tmp_path / "dbkit_test_traced.py"
    seen: list[int] = []

    def tracer(frame: FrameType, event: str, argument: object) -> Any:
        if event == "call":
            sys.settrace(tracer)
        if frame.f_code.co_filename == str(path) and event == "line":
            seen.append(frame.f_lineno)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with tracing_lines([path]) as lines:
            module.run()
    finally:
        sys.settrace(before)
    assert seen == [2, 5, 5]
    assert lines == {path: {2, 5}}


def test_tracing_ends_with_an_exception(load: Callable[[str, str], Any], tmp_path: Path) -> None:
    module = load("dbkit_test_traced", "def run():\n    raise ValueError(5)\n")
    path = tmp_path / "dbkit_test_traced.py"
    before = sys.gettrace()
    with pytest.raises(ValueError, match="5"), tracing_lines([path]) as lines:
        module.run()
    assert sys.gettrace() is before
    assert lines == {path: {2}}


def test_a_traced_file_that_does_not_run_has_no_lines(tmp_path: Path) -> None:
    with tracing_lines([tmp_path / "x.py"]) as lines:
        pass
    assert lines == {tmp_path / "x.py": set()}
