"""Feast's bytes in the online store, read and written without importing Feast, which takes seconds and 70 MB.

An entity's key is Feast's serialisation version 3; a value is a protobuf message `feast.types.Value` with one scalar.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mlforge.errors import FeatureError

# Numbers of feast.types.ValueType, which are those of the fields of feast.types.Value too.
BYTES, STRING, INT32, INT64, DOUBLE, FLOAT, BOOL, UNIX_TIMESTAMP, NULL = 1, 2, 3, 4, 5, 6, 7, 8, 19
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY_TYPES = frozenset({STRING, INT32, INT64})
VALUE_TYPES = frozenset({STRING, INT32, INT64, DOUBLE, FLOAT, BOOL})
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE = {STRING: _LENGTH, INT32: _VARINT, INT64: _VARINT, DOUBLE: _FIXED64, FLOAT: _FIXED32, BOOL: _VARINT}
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_INTEGERS = {INT32: struct.Struct("<i"), INT64: struct.Struct("<q")}
_NUMBER = struct.Struct("<I")


def key_encoder(names: Sequence[str], types: Sequence[int]) -> Callable[[Sequence[Any]], bytes]:
    """Return the function that makes the online store's key of an entity's values.

    Args:
        names: Join keys.
        types: `STRING`, `INT32` or `INT64` of each; the values are given in the same order.
    """
    order = sorted(range(len(names)), key=lambda place: names[place])
    head = _NUMBER.pack(len(names))
    for place in order:
        name = names[place].encode()
        head += _NUMBER.pack(STRING) + _NUMBER.pack(len(name)) + name

    def encode(values: Sequence[Any]) -> bytes:
        try:
            return head + b"".join(_cell(types[place], values[place]) for place in order)
        except (struct.error, AttributeError, UnicodeEncodeError) as error:
            raise FeatureError("a key of features has another type", evidence=[*names, str(error)]) from error

    return encode


def _cell(kind: int, value: Any) -> bytes:
    content: bytes = value.encode() if kind == STRING else _INTEGERS[kind].pack(value)
    return _NUMBER.pack(kind) + _NUMBER.pack(len(content)) + content


def value_encoder(kind: int) -> Callable[[Sequence[Any]], list[bytes]]:
    """Return the function that serialises a column of values; None becomes an empty message, as Feast writes it.

    Args:
        kind: One of `VALUE_TYPES`.

    Raises:
        FeatureError: There is no such scalar.
    """
    if kind not in VALUE_TYPES:
        raise FeatureError("only scalars can be served online", evidence=[f"type {kind}"])
    tag = bytes([kind << 3 | _WIRE[kind]])
    contents: dict[int, Callable[[Any], bytes]] = {DOUBLE: _DOUBLE.pack, FLOAT: _FLOAT.pack, STRING: _text}
    content = contents.get(kind, _as_varint)
    return lambda values: [b"" if value is None else tag + content(value) for value in values]


def _text(value: str) -> bytes:
    content = value.encode()
    return _as_varint(len(content)) + content


def _as_varint(number: int) -> bytes:
    """Return a base-128 number; a negative one as its 64-bit complement."""
    number &= (1 << 64) - 1
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)
    return bytes(content)


def decode_value(content: bytes) -> str | float | int | bool | None:
    """Return what a serialised value holds; None where it holds nothing, or NaN.

    Raises:
        FeatureError: It is no scalar.
    """
    if not content:
        return None
    tag, begin = _varint(content, 0)
    field, wire = tag >> 3, tag & 7
    if wire == _FIXED64 and field == DOUBLE:
        number: float = _DOUBLE.unpack_from(content, begin)[0]
        return None if number != number else number
    if wire == _FIXED32 and field == FLOAT:
        number = _FLOAT.unpack_from(content, begin)[0]
        return None if number != number else number
    if wire == _LENGTH and field == STRING:
        size, begin = _varint(content, begin)
        return content[begin : begin + size].decode()
    if wire == _VARINT and field in (INT32, INT64, BOOL):
        whole = _varint(content, begin)[0]
        return bool(whole) if field == BOOL else whole - (1 << 64) if whole >> 63 else whole
    if field == NULL:
        return None
    raise FeatureError("the online store holds a value that is no scalar", evidence=[f"field {field}"])


def encode_instant(microseconds: int) -> bytes:
    """Return microseconds since 1970 as a serialised `google.protobuf.Timestamp`."""
    seconds, micros = divmod(microseconds, 1_000_000)
    content = b"\x08" + _as_varint(seconds) if seconds else b""
    return content + (b"\x10" + _as_varint(micros * 1000) if micros else b"")


def decode_instant(content: bytes) -> datetime:
    """Return the instant in a serialised `google.protobuf.Timestamp`, UTC."""
    parts, place = {1: 0, 2: 0}, 0
    while place < len(content):
        tag, place = _varint(content, place)
        parts[tag >> 3], place = _varint(content, place)
    seconds = parts[1] - (1 << 64) if parts[1] >> 63 else parts[1]
    return EPOCH + timedelta(seconds=seconds, microseconds=parts[2] // 1000)


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a base-128 number and where it ends."""
    number = shift = 0
    while True:
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return number, place
        shift += 7
