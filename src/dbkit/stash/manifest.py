"""The manifest of a stash: what it holds, and of which database. It is read as untrusted input."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

FORMAT = 2
"""2 added `identity` and `sequences` of the whole stash; 1 had the sequences of each table, by column."""
WHY = ("dropped", "changed", "written")
LARGEST = 2**63 - 1
Item = TypeVar("Item")


@dataclass(frozen=True)
class SavedFile:
    """A file of a stash: its number of rows, its size in bytes, and its SHA-256."""

    file: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True)
class SavedTable:
    """The entry of one table. Columns are pairs of a name and a type, as they were before the rollback."""

    schema: str
    table: str
    why: str
    key: list[list[str]]
    columns: list[list[str]]
    """All columns in the file, in its order."""
    lost: list[str]
    """The columns that are restored."""
    saved: SavedFile
    sequences: dict[str, int] = field(default_factory=dict)
    """In a stash of format 1: by column, the last value of the sequence that it owns."""

    @property
    def label(self) -> str:
        """The name in messages: without the schema, where that is public."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"

    @property
    def whole(self) -> bool:
        """Whether whole rows are kept, and not only some of their values."""
        return self.why != "changed"


@dataclass(frozen=True)
class SequencePosition:
    """The position of a sequence, which is found again by the column that owns it, or else by its own name."""

    schema: str
    name: str
    owner: list[str]
    """Schema, table and column; empty where no column owns it."""
    last_value: int
    is_called: bool

    @property
    def label(self) -> str:
        """The name in messages: without the schema, where that is public."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Identity:
    """The identity of a database, at whatever address its server is reached, and the position of the server's log."""

    system: int | None
    """The system identifier, which initdb draws; None where the role may not ask for it."""
    database: int
    """The OID of the database, which changes with DROP and CREATE DATABASE."""
    timeline: int | None
    """The timeline, which changes with a point-in-time recovery and a failover; None on a standby."""
    log: int | None
    """The position in the write-ahead log, in bytes."""

    def difference(self, here: "Identity") -> str:
        """Return why this is another database, as the rest of a sentence; "" where nothing shows that."""
        if None not in (self.system, here.system) and self.system != here.system:
            return f"it was made on the server {self.system}, and this is {here.system} (pg_control_system())"
        if self.database != here.database:
            return f"it was made in the database with the OID {self.database}, and this one has {here.database}"
        return ""

    def is_same(self, here: "Identity") -> bool:
        """Whether both are known to be the same database."""
        return None not in (self.system, here.system) and not self.difference(here)


@dataclass(frozen=True)
class Manifest:
    """The database, revisions and moment that a stash was made of, and what it holds."""

    database: str
    server: str
    heads: list[str]
    """The revisions that must be applied before it can be restored."""
    revision: str
    """The revision that was undone when it was made."""
    began: str
    """When the first stash of the same rollback was made."""
    time: str
    transaction: int
    """The id of the transaction that undid it."""
    tables: list[SavedTable]
    format: int = FORMAT
    identity: Identity | None = None
    """None in a stash of format 1."""
    sequences: list[SequencePosition] = field(default_factory=list)
    history: str = ""
    """The history that the revisions are of, where the project names its place: a tenant's, for one."""


def manifest_as_json(manifest: Manifest) -> dict[str, Any]:
    """Return the content of the file."""
    found = asdict(manifest)
    if not manifest.history:
        del found["history"]  # an older dbkit does not know it
    return found


def parse_manifest(text: bytes) -> Manifest:
    """Parse a manifest. Raises ValueError for anything that dbkit would not have written itself."""
    raw = _object(_json(text), Manifest, optional=("format", "identity", "sequences", "history"))
    if raw.get("format", 1) not in (1, FORMAT):
        raise ValueError(f"its format is {raw['format']!r}, and this dbkit knows 1 to {FORMAT}")
    tables = _list(raw["tables"], lambda each: _kept(each))
    files = [entry.saved.file for entry in tables]
    if len(set(files)) < len(files):
        raise ValueError("two tables have the same file")
    return Manifest(
        database=_name(raw["database"]),
        server=_printable(raw["server"]),
        heads=_list(raw["heads"], _printable),
        revision=_printable(raw["revision"]),
        began=_moment(raw["began"]),
        time=_moment(raw["time"]),
        transaction=_number(raw["transaction"]),
        tables=tables,
        format=raw.get("format", 1),
        identity=None if raw.get("identity") is None else _identity(raw["identity"]),
        sequences=_list(raw.get("sequences", []), _position),
        history=_printable(raw["history"]) if "history" in raw else "",
    )


@dataclass(frozen=True)
class HashFile:
    """A file with the key and the hashes of some columns of each row that a rollback left, or an upgrade wrote."""

    columns: list[str]
    saved: SavedFile
    in_array: bool
    """Whether the hashes are in one array. An older dbkit wrote a column for each."""


def describe_hash_file(columns: list[str], saved: SavedFile) -> dict[str, Any]:
    """Return the description of a hash file."""
    return {"columns": columns, "in_array": True, **asdict(saved)}


def parse_hash_file(text: bytes, entry: SavedTable, file: str) -> HashFile:
    """Parse the description of the hash file `file` of a table. Raises ValueError."""
    raw = _json(text)
    if not isinstance(raw, dict):
        raise ValueError("it is no object")  # the same kind of error as for every other fault
    columns, in_array = _list(raw.pop("columns", None), _name), raw.pop("in_array", False)
    if not set(columns) <= set(entry.lost) or len(set(columns)) < len(columns) or not columns:
        raise ValueError("its columns are not those of the stash")
    if not isinstance(in_array, bool):
        raise ValueError(f"in_array is {in_array!r}")
    return HashFile(columns, _saved(raw, re.escape(file)), in_array)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _kept(raw: object) -> SavedTable:
    found = _object(raw, SavedTable, optional=("sequences",))
    if found["why"] not in WHY:
        raise ValueError(f"why is {found['why']!r}")
    sequences = found.get("sequences", {})
    if not isinstance(sequences, dict):
        raise ValueError("sequences is no object")
    entry = SavedTable(
        schema=_name(found["schema"]),
        table=_name(found["table"]),
        why=found["why"],
        key=_list(found["key"], _pair),
        columns=_list(found["columns"], _pair),
        lost=_list(found["lost"], _name),
        saved=_saved(found["saved"], r"[0-9]+\.copy"),
        sequences={_name(column): _number(last, least=-LARGEST - 1) for column, last in sequences.items()},
    )
    names = [name for name, _ in entry.columns]
    if len(set(names)) < len(names) or not set(entry.lost) <= set(names) or not entry.columns:
        raise ValueError(f"the columns of {entry.label} do not fit each other")
    if [pair for pair in entry.key if pair not in entry.columns] or not (entry.key or entry.whole):
        raise ValueError(f"the primary key of {entry.label} is not among its columns")
    return entry


def _saved(raw: object, file: str) -> SavedFile:
    found = _object(raw, SavedFile)
    if not re.fullmatch(file, _name(found["file"]), re.ASCII):
        raise ValueError(f"its file is {found['file']!r}")
    if not re.fullmatch("[0-9a-f]{64}", _name(found["sha256"])):
        raise ValueError("sha256 is none")
    return SavedFile(found["file"], _number(found["rows"]), _number(found["size"]), found["sha256"])


def _position(raw: object) -> SequencePosition:
    found = _object(raw, SequencePosition)
    owner = _list(found["owner"], _name)
    if len(owner) not in (0, 3) or not isinstance(found["is_called"], bool):
        raise ValueError("the position of a sequence is none")
    last = _number(found["last_value"], least=-LARGEST - 1)
    return SequencePosition(_name(found["schema"]), _name(found["name"]), owner, last, found["is_called"])


def _identity(raw: object) -> Identity:
    found = _object(raw, Identity)
    optional = {name: None if found[name] is None else _number(found[name], least=-LARGEST - 1) for name in found}
    return Identity(optional["system"], _number(found["database"]), optional["timeline"], optional["log"])


def _object(raw: object, kind: type, optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Require an object with exactly the fields of a dataclass, of which the optional ones may be missing."""
    names = {each.name for each in fields(kind)}
    if not isinstance(raw, dict) or not names - set(optional) <= set(raw) <= names:
        found = ", ".join(map(repr, raw)) if isinstance(raw, dict) else type(raw).__name__
        raise ValueError(f"it should have {', '.join(sorted(names))}, and has {found or 'nothing'}")
    return raw


def _list(raw: object, item: Callable[[object], Item]) -> list[Item]:
    if not isinstance(raw, list):
        raise ValueError(f"{raw!r} is no list")  # the same kind of error as for every other fault
    return [item(each) for each in raw]


def _pair(raw: object) -> list[str]:
    pair = _list(raw, _name)
    if len(pair) != 2:  # a pair
        raise ValueError(f"{raw!r} is no name and type")
    return pair


def _name(raw: object) -> str:
    """Require a name as PostgreSQL allows it."""
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError(f"{raw!r} is no name")
    return raw


def _printable(raw: object) -> str:
    text = _name(raw)
    if not text.isprintable():
        raise ValueError(f"{raw!r} is not printable")
    return text


def _moment(raw: object) -> str:
    datetime.fromisoformat(_printable(raw))
    return str(raw)


def _number(raw: object, least: int = 0) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= LARGEST:
        raise ValueError(f"{raw!r} is no number")
    return raw
