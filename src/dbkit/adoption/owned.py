"""The marks by which a later run recognises what dbkit has written, and whether it was edited since.

A file that is wholly dbkit's begins with a comment that has a hash of the rest. In a file of the project, a block is
between `# dbkit: begin HASH` and `# dbkit: end`; the first mark also names the directory of the project, where the file
is in another one. Line endings do not count: git may change them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit.adoption.change import Change
from dbkit.adoption.generated import require_edited_by_hand
from dbkit.adoption.site import Site
from dbkit.errors import InputError

TEMPLATES = Path(__file__).with_name("templates")
STAMP = re.compile(rb"# Written by dbkit ([0-9a-f]{12}): ")
STAMP_TEXT = "# Written by dbkit {}: an edited file is neither replaced nor removed by `dbkit adopt`.\n"
EDITED = "it was edited since"
BLOCK = re.compile(
    rb"^[ \t]*# dbkit: begin ([0-9a-f]{12})(?: ([^\r\n]+))?\r?\n(.*?)^[ \t]*# dbkit: end[ \t]*(?:\r?\n|\Z)", re.M | re.S
)


def read_template(name: str) -> str:
    """Return the text of a file in `templates`."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def read_file(path: Path) -> bytes | None:
    """Return the content of a file; None where there is none. Raises InputError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.", "Rename it, or remove it.") from error


def stamp(body: str) -> bytes:
    """Return the content of a file that is wholly dbkit's."""
    return (STAMP_TEXT.format(_hash(body.encode())) + body).encode()


def is_stamped(content: bytes) -> bool:
    """Whether dbkit has written a file, edited or not."""
    return STAMP.match(content) is not None


def is_unedited(content: bytes) -> bool:
    """Whether a file is as dbkit has written it."""
    found = STAMP.match(content)
    return found is not None and found[1].decode() == _hash(content.partition(b"\n")[2])


def newline_of(content: bytes) -> bytes:
    """Return the line ending of a file: that of its first line."""
    end = content.find(b"\n")
    return b"\r\n" if end > 0 and content[end - 1 : end] == b"\r" else b"\n"


def make_block(lines: Sequence[str], indent: str = "", name: str = "") -> list[str]:
    """Return lines between the two marks; `name` is the directory of a project below that of the file."""
    indented = [f"{indent}{line}" if line else line for line in lines]
    digest = _hash("".join(f"{line}\n" for line in indented).encode())
    return [f"{indent}# dbkit: begin {digest}{f' {name}' if name else ''}", *indented, f"{indent}# dbkit: end"]


def append_lines(content: bytes, lines: Sequence[str], blank_lines: int = 0) -> bytes:
    """Return a file with lines at its end; where it had no newline there, it has none after them."""
    newline = newline_of(content)
    ends = content.endswith(b"\n") or not content
    text = newline.join([b""] * blank_lines + [line.encode() for line in lines])
    return content + (text + newline if ends else newline + text)


@dataclass(frozen=True)
class Block:
    """A block of dbkit in a file of the project."""

    start: int
    end: int
    body: bytes
    is_unedited: bool


def find_block(content: bytes, name: str = "") -> Block | None:
    """Find the block of a project in a file."""
    for found in BLOCK.finditer(content):
        if (found[2] or b"").decode("utf-8", "replace") == name:
            return Block(found.start(), found.end(), found[3], found[1].decode() == _hash(found[3]))
    return None


def without_blocks(content: bytes) -> bytes:
    """Return a file without the blocks of all projects."""
    return BLOCK.sub(b"", content)


def remove_block(content: bytes, block: Block, blank_lines: int = 0) -> bytes:
    """Return a file without its block, and without what `append_lines` has put before that."""
    before, after = content[: block.start], content[block.end :]
    wanted = blank_lines + (not content[: block.end].endswith(b"\n"))
    for _ in range(wanted):
        if not before.endswith(b"\n"):
            break
        before = before[: -2 if before.endswith(b"\r\n") else -1]
    return before + after


def replace_block(content: bytes, block: Block, lines: Sequence[str]) -> bytes:
    """Return a file with other lines in the place of its block."""
    newline = newline_of(content)
    text = newline.join(line.encode() for line in lines)
    ends = newline if content[: block.end].endswith(b"\n") else b""
    return content[: block.start] + text + ends + content[block.end :]


def plan_file(path: Path, part: str, before: bytes | None, body: str) -> Change:
    """Plan a file that is wholly dbkit's. One that was edited, or is not dbkit's, is left as it is."""
    if before is not None and not is_unedited(before):
        left = EDITED if is_stamped(before) else "it is not dbkit's; rename it, and run this again"
        return Change(path, part, before, before, left=left)
    after = stamp(body)
    return Change(path, part, before, before if before is not None and _unix(before) == _unix(after) else after)


def plan_removal(path: Path, part: str, before: bytes | None) -> list[Change]:
    """Plan the removal of a file that is wholly dbkit's; none where it is not."""
    if before is None or not is_stamped(before):
        return []
    if not is_unedited(before):
        return [Change(path, part, before, before, left=EDITED)]
    return [Change(path, part, before, None)]


def describe_obstacle(path: Path, site: Site, instead: str) -> str:
    """Describe why a file of the project is not to be edited, and what to do; "" where it may be."""
    try:
        require_edited_by_hand(path, site, instead)
    except InputError as error:
        return f"{error.message.rstrip('.')}; {instead}"
    return ""


def _hash(content: bytes) -> str:
    return hashlib.sha256(_unix(content)).hexdigest()[:12]


def _unix(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")
