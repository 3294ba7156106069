"""Models from public bug reports on drafts, rewritten: the states that a module of models has one after the other."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.kit import REPOSITORY

BASE = REPOSITORY / "backend/app/models/base.py"
PRELUDE = """

import datetime
import enum
import uuid
from typing import Optional

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped


"""
CLOSING = "\n\nmetadata = Base.metadata\n"


@dataclass(frozen=True)
class ReportedCase:
    """A project without revisions, whose models get one state after the other."""

    name: str
    report: str
    """The public issue."""
    states: tuple[str, ...]
    """The code of the models; what the base module of the example shop has is there."""
    outside: str = ""
    """SQL that others have run in the database before."""
    holds: str = ""
    """A query whose result is true after each state."""
    edits: Mapping[int, str] = field(default_factory=dict)
    """By the number of the state, the SQL that a person adds to the draft's upgrade."""
    decides: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By the number of the state, parts of the reasons for which its draft does not run as it is."""
    says: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By the number of the state, parts of its draft."""

    def models(self, number: int) -> str:
        """Return the module of models in one of its states."""
        return BASE.read_text() + PRELUDE + textwrap.dedent(self.states[number]).strip() + CLOSING


LONG_NAMES = """
class Measurement(Base):
    __tablename__ = "laboratory_measurement_calibration_records"
    id: Mapped[Id]
    reference_designator_positive_terminal: Mapped[str]
    reference_designator_negative_terminal: Mapped[str]
    remark: Mapped[Optional[str]]
    __table_args__ = (
        sa.UniqueConstraint("reference_designator_positive_terminal", "reference_designator_negative_terminal"),
        sa.Index(None, "reference_designator_positive_terminal", "remark"),
        sa.Index(
            "ix_remark_or_fallback",
            sa.text("coalesce(remark, 'a rather long fallback text that is way beyond sixty-three bytes, and more')"),
        ),
        sa.CheckConstraint(
            "remark <> ''", name="the_remark_is_never_an_empty_string_because_nobody_reads_those"
        ),
    )
"""
GEO = """
class Geo(Base):
    __tablename__ = "geo"
    id: Mapped[int] = mapped_column({}, primary_key=True)
    name: Mapped[str]
"""
SUBSCRIPTIONS = """
class Sub(Base):
    __tablename__ = "subs"
    id: Mapped[Id]
    remote: Mapped[str] = mapped_column(sa.String(255), index=True)
    state: Mapped[str] = mapped_column(sa.Text, server_default="new")
    flag: Mapped[bool] = mapped_column(server_default=sa.false())
"""
OTHER_TYPES = """
class State(enum.Enum):
    new = 1
    old = 2
class Sub(Base):
    __tablename__ = "subs"
    id: Mapped[Id]
    remote: Mapped[uuid.UUID] = mapped_column(index=True)
    state: Mapped[State] = mapped_column(server_default="new")
    flag: Mapped[int] = mapped_column(server_default="0")
"""
PERCENT = r"""
class Promo(Base):
    __tablename__ = "promo"
    id: Mapped[Id]
    rate: Mapped[str] = mapped_column(server_default="100%")
    fmt: Mapped[str] = mapped_column(server_default=sa.text("'%d.%m.%Y'"))
    __table_args__ = (
        sa.CheckConstraint(r"rate LIKE '%\%'", name="rate_ends"),
        sa.Index("ix_promo_nine", "rate", postgresql_where=sa.text("rate LIKE '9%'")),
    )
"""
COLON = r"""
class Promo(Base):
    __tablename__ = "promo"
    id: Mapped[Id]
    rate: Mapped[str]
    __table_args__ = (sa.CheckConstraint(r"rate <> '\:none'", name="rate_given"),)
"""
ODD_SCHEMA = """
class Kind(enum.Enum):
    a = 1
    b = 2
class Doc(Base):
    __tablename__ = "Doc.Lines"
    id: Mapped[Id]
    kind: Mapped[Kind]
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("Sales 10%.Owner.id"))
    __table_args__ = {"schema": "Sales 10%"}
class Owner(Base):
    __tablename__ = "Owner"
    id: Mapped[Id]
    user: Mapped[str] = mapped_column("User", sa.Text, index=True)
    __table_args__ = {"schema": "Sales 10%"}
"""
CUSTOM_TYPES = """
class Cents(sa.types.TypeDecorator):
    impl = sa.Integer
    cache_ok = True
    def __init__(self, currency="EUR"):
        super().__init__()
        self.currency = currency
class Upper(sa.types.UserDefinedType):
    cache_ok = True
    def get_col_spec(self, **kw):
        return "varchar(20)"
class Bill(Base):
    __tablename__ = "bills"
    id: Mapped[Id]
    total: Mapped[int] = mapped_column(Cents("USD"))
    parts: Mapped[list[int]] = mapped_column(pg.ARRAY(Cents()))
    ref: Mapped[str] = mapped_column(Upper())
    doc: Mapped[dict] = mapped_column(pg.JSONB().with_variant(sa.JSON(), "sqlite"))
"""
CIRCLE = """
class Shop(Base):
    __tablename__ = "shops"
    id: Mapped[Id]
    logo_id: Mapped[Optional[int]] = mapped_column(sa.ForeignKey("pictures.id"))
class Picture(Base):
    __tablename__ = "pictures"
    id: Mapped[Id]
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shops.id"))
    prev_id: Mapped[Optional[int]] = mapped_column(sa.ForeignKey("pictures.id"))
"""
OTHER = """
class Other(Base):
    __tablename__ = "other"
    id: Mapped[Id]
"""
DIARY = """
class Mood(enum.Enum):
    sad = 1
    ok = 2
class Diary(Base):
    __tablename__ = "diary"
    id: Mapped[Id]
    mood: Mapped[Mood]
"""
PEOPLE = """
Email = pg.DOMAIN("email", sa.Text, check="VALUE LIKE '%@%'")
class Person(Base):
    __tablename__ = "people"
    id: Mapped[Id]
    mail: Mapped[str] = mapped_column(Email)
"""
ZIP_CODES = (
    PEOPLE.replace("class Person", 'Zip = pg.DOMAIN("zip", sa.Text, not_null=True)\nclass Person')
    + '    zip: Mapped[Optional[str]] = mapped_column(Zip, server_default="0")\n'
)
LOGS = """
class Log(Base):
    __tablename__ = "logs"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    day: Mapped[datetime.date] = mapped_column(primary_key=True)
    note: Mapped[Optional[str]] = mapped_column(index=True)
    __table_args__ = {"postgresql_partition_by": "RANGE (day)"}
"""
PARTITIONS = """
    CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE logs_default PARTITION OF logs DEFAULT
"""
DEFAULTS = r"""
class Opt(Base):
    __tablename__ = "opts"
    id: Mapped[Id]
    j: Mapped[dict] = mapped_column(sa.JSON, server_default=sa.text("'{}'"))
    jb: Mapped[dict] = mapped_column(pg.JSONB, server_default=sa.text("'{\"a\": 1}'::jsonb"))
    arr: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), server_default="{}")
    iv: Mapped[datetime.timedelta] = mapped_column(sa.Interval, server_default=sa.text("interval '1 day'"))
    ts: Mapped[datetime.datetime] = mapped_column(server_default=sa.func.current_timestamp())
    tu: Mapped[datetime.datetime] = mapped_column(server_default=sa.text("timezone('utc', now())"))
    pt: Mapped[str] = mapped_column(pg.TSRANGE, server_default=sa.text("'empty'"))
    xid: Mapped[str] = mapped_column(sa.Uuid, server_default=sa.text("gen_random_uuid()"))
    nm: Mapped[float] = mapped_column(sa.Numeric(10, 4), server_default="1.5")
    by: Mapped[bytes] = mapped_column(sa.LargeBinary, server_default=sa.text("'\\x00'"))
    bt: Mapped[str] = mapped_column(pg.BIT(3), server_default=sa.text("B'101'"))
    em: Mapped[str] = mapped_column(sa.Text, server_default="")
"""
SCHEMA_PUBLIC = """
class A(Base):
    __tablename__ = "a"
    id: Mapped[Id]
    __table_args__ = {"schema": "public"}
class B(Base):
    __tablename__ = "b"
    id: Mapped[Id]
    a_id: Mapped[int] = mapped_column(sa.ForeignKey("public.a.id"))
"""
KEEP = """
class Keep(Base):
    __tablename__ = "keep"
    id: Mapped[Id]
"""
ODD_TABLES = """
class Odd(Base):
    __tablename__ = "my-odd table"
    id: Mapped[Id]
class Odd2(Base):
    __tablename__ = "ünï"
    id: Mapped[Id]
"""
EVENTS = """
class Event(Base):
    __tablename__ = "events"
    __table_args__ = {"schema": "audit"}
    id: Mapped[Id]
"""
ONE = """
class T(Base):
    __tablename__ = "t"
    id: Mapped[Id]
"""
LABELS = (
    "    react: Mapped[Optional[str]] = mapped_column(\n"
    '        sa.Enum(":smile:", "50%", "it\'s", "a :b", "back\\\\slash", "x::y", name="Reaction")\n    )\n'
)
ORDERS = """
class Size(enum.Enum):
    s = "small"
    l = "large"{}
class Order(Base):
    __tablename__ = "order"
    id: Mapped[Id]
    user: Mapped[str] = mapped_column("user", sa.Text, index=True)
    select: Mapped[Optional[int]] = mapped_column("select", sa.Integer, sa.ForeignKey("group.end"))
    size: Mapped[Size] = mapped_column(
        sa.Enum(Size, native_enum=False, create_constraint=True, length=10, name="size_ok")
    )
    flag: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True, name="flag_ok"))
class Group(Base):
    __tablename__ = "group"
    end: Mapped[int] = mapped_column(
        "end", sa.Integer, sa.Identity(always=True, start=100, increment={}), primary_key=True
    )
"""
IN_OTHER_SCHEMA = '    st: Mapped[Optional[str]] = mapped_column(sa.Enum({}, name="rec", schema="kinds"))\n'
INVOICES = """
seq = sa.Sequence("invoice_no", start=1000, metadata=Base.metadata)
class Inv(Base):
    __tablename__ = "inv"
    id: Mapped[Id]
    no: Mapped[int] = mapped_column(sa.BigInteger, seq, server_default=seq.next_value())
"""

CASES = (
    ReportedCase("long_names", "sqlalchemy/alembic#1864", (LONG_NAMES,)),
    ReportedCase(
        "serial_to_identity",
        "sqlalchemy/alembic#1504",
        (GEO.format("sa.Integer"), GEO.format("sa.Integer, sa.Identity()")),
    ),
    ReportedCase(
        "serial_to_bigint",
        "home-assistant/core#129694",
        (GEO.format("sa.Integer"), GEO.format("sa.BigInteger")),
        holds="SELECT bool_and(seqtypid IN ('integer'::regtype, 'bigint'::regtype)) FROM pg_sequence",
    ),
    ReportedCase("types_with_casts", "sqlalchemy/alembic#963", (SUBSCRIPTIONS, OTHER_TYPES)),
    ReportedCase("percent", "sqlalchemy/alembic#562", (PERCENT,)),
    ReportedCase("colon", "sqlalchemy/alembic#562", (COLON,)),
    ReportedCase(
        "odd_schema",
        "sqlalchemy/alembic#522",
        (
            ODD_SCHEMA,
            ODD_SCHEMA.replace(
                "index=True)\n", "index=True)\n    order: Mapped[Optional[str]] = mapped_column('or\"der', sa.Text)\n"
            ),
        ),
    ),
    ReportedCase("custom_types", "sqlalchemy/alembic#1516", (CUSTOM_TYPES,)),
    ReportedCase("circle", "sqlalchemy/alembic#326", (CIRCLE,)),
    ReportedCase("enum_goes_with_table", "lablup/backend.ai#12886", (DIARY + OTHER, OTHER)),
    ReportedCase("domains", "sqlalchemy/alembic#886", (PEOPLE, ZIP_CODES)),
    ReportedCase(
        "partitions", "sqlalchemy/alembic#539", (LOGS, LOGS.replace("Optional[str]", "str")), edits={0: PARTITIONS}
    ),
    ReportedCase("defaults", "sqlalchemy/alembic#1119", (DEFAULTS,)),
    ReportedCase("schema_public", "sqlalchemy/alembic#729", (SCHEMA_PUBLIC,)),
    ReportedCase("odd_names_go", "drizzle-team/drizzle-orm#3644", (ODD_TABLES + KEEP, KEEP)),
    ReportedCase(
        "table_of_others",
        "sqlalchemy/alembic#776",
        (EVENTS, EVENTS + "    note: Mapped[Optional[str]]\n"),
        outside="CREATE TABLE public.events (id int PRIMARY KEY, payload text);"
        " INSERT INTO public.events VALUES (1, 'precious')",
        holds="SELECT count(*) = 1 FROM public.events WHERE payload = 'precious'",
    ),
    ReportedCase("labels", "Pogchamp-company/alembic-postgresql-enum#53", (ONE, ONE + LABELS)),
    ReportedCase(
        "reserved_words",
        "sqlalchemy/alembic#1859",
        (ORDERS.format("", 5), ORDERS.format('\n    x = "xl"', 7)),
    ),
    ReportedCase(
        "enum_in_other_schema",
        "sqlalchemy/alembic#522",
        (ONE, ONE + IN_OTHER_SCHEMA.format('"On", "Off"'), ONE + IN_OTHER_SCHEMA.format('"On", "Off", "Idle"')),
    ),
    ReportedCase("sequence", "sqlalchemy/alembic#1360", (INVOICES, OTHER)),
)
