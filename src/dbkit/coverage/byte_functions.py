"""Inverses of the functions of bytea and of bit strings."""

import base64
from collections.abc import Iterable, Sequence

from dbkit.sample_data.texts import Inverse, for_each, read_integer

Arguments = Sequence[str | None]


def _encode(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    """From a text in hex or base64 to the text of bytea."""
    data = _from_form(target, arguments[1] if len(arguments) > 1 else None)
    return (f"\\x{data.hex()}",) if data is not None else ()


def _from_form(text: str, form: str | None) -> bytes | None:
    try:
        if form == "base64":
            return base64.b64decode(text + "=" * (-len(text) % 4))
        return text.encode() if form == "escape" else bytes.fromhex(text + "0" * (len(text) % 2))
    except ValueError:
        return None


def _decode(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    """From the text of bytea to a text in hex or base64."""
    data = read_bytes(target)
    form = arguments[1] if len(arguments) > 1 else None
    if form == "base64":
        return (base64.b64encode(data).decode(),)
    return (data.decode("latin-1"),) if form == "escape" else (data.hex(), data.hex().upper())


def read_bytes(text: str) -> bytes:
    """Return the bytes that a text of bytea means; for another text, its own."""
    try:
        return bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()
    except ValueError:
        return text.encode()


def _convert_from(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return (f"\\x{target.encode().hex()}",)


def _convert_to(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    return (read_bytes(target).decode("utf-8", "replace"),)


def vary_bytes(text: str) -> list[str]:
    """Return the bytes, and ones with one more, one less, and another last one."""
    data = read_bytes(text)
    last = data[-1] if data else 0
    changed = [data[:-1] + bytes([each]) for each in (last + 1, last - 1) if 0 <= each < 256]
    return [
        text,
        *(f"\\x{each.hex()}" for each in (*changed, data + b"\0", data[:-1], b"", data + data, b"\xff", b"\0")),
    ]


def _concatenate(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    part = arguments[1 - position] or ""
    if not (target.startswith("\\x") and part.startswith("\\x")):
        return ()
    whole, fixed = target[2:], part[2:]
    return (f"\\x{whole.removesuffix(fixed) if position == 0 else whole.removeprefix(fixed)}",)


def _shift_bits(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    places = read_integer(arguments[1] if len(arguments) > 1 else None)
    if position or len(target) < 2 or set(target) - {"0", "1"} or not 0 <= places < len(target):
        return ()
    zeros = "0" * places
    return zeros + target[: len(target) - places], target[places:] + zeros


def _get_byte(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    byte, place = read_integer(target, -1), read_integer(arguments[1] if len(arguments) > 1 else None)
    return (f"\\x{'00' * place}{byte:02x}",) if 0 <= byte < 256 and 0 <= place < 256 else ()


def _get_bit(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    bit, place = read_integer(target, -1), read_integer(arguments[1] if len(arguments) > 1 else None)
    if bit not in (0, 1) or not 0 <= place < 256:
        return ()
    # bits of a byte are counted from the right, those of a bit string from the left
    return f"\\x{'00' * (place // 8)}{bit << place % 8:02x}", "0" * place + str(bit)


INVERSES: dict[str, Inverse] = {
    "encode": for_each(_encode),
    "decode": for_each(_decode),
    **dict.fromkeys(("convert_from",), for_each(_convert_from)),
    "convert_to": for_each(_convert_to),
    "||": for_each(_concatenate),
    **dict.fromkeys(("<<", ">>"), for_each(_shift_bits)),
    "get_byte": for_each(_get_byte),
    "get_bit": for_each(_get_bit),
}
"""By function, its inverse."""
