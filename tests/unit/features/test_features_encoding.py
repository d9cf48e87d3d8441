from __future__ import annotations

from datetime import UTC, datetime

import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import FeatureError
from mlforge.features.stores.encoding import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    STRING,
    decode_instant,
    decode_value,
    encode_instant,
    key_encoder,
    value_encoder,
)
from mlforge.features.stores.rows import microseconds

_NAMES = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4, unique=True)
_KEYS = st.one_of(
    st.tuples(st.just((STRING, "string_val")), st.text()),
    st.tuples(st.just((INT32, "int32_val")), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just((INT64, "int64_val")), st.integers(-(2**63), 2**63 - 1)),
)
_VALUES = st.one_of(
    st.tuples(st.just("string_val"), st.text()),
    st.tuples(st.just("int32_val"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("int64_val"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("double_val"), st.floats(allow_nan=False)),
    st.tuples(st.just("float_val"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just("bool_val"), st.booleans()),
)
_KINDS = {
    "string_val": STRING,
    "int32_val": INT32,
    "int64_val": INT64,
    "double_val": DOUBLE,
    "float_val": FLOAT,
    "bool_val": BOOL,
}


@given(st.data())
def test_keys_are_those_of_feast(data: st.DataObject) -> None:
    names = data.draw(_NAMES)
    cells = [data.draw(_KEYS) for _ in names]
    values = [Value(**{field: value}) for (_, field), value in cells]
    expected = serialize_entity_key(EntityKey(join_keys=names, entity_values=values), 3)
    encode = key_encoder(names, [kind for (kind, _), _ in cells])
    assert encode([value for _, value in cells]) == expected


@given(_VALUES)
def test_values_are_those_of_feast(cell: tuple[str, object]) -> None:
    field, value = cell
    content = Value(**{field: value}).SerializeToString()
    found = decode_value(content)
    assert found == value
    assert type(found) is type(value)
    assert value_encoder(_KINDS[field])([value, None]) == [content, Value().SerializeToString()]


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_instants_are_those_of_protobuf(moment: datetime) -> None:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    content = stamp.SerializeToString()
    assert encode_instant(microseconds(moment)) == content
    assert decode_instant(content) == moment


@pytest.mark.parametrize("value", [Value(), Value(null_val=0), Value(double_val=float("nan"))])
def test_what_holds_nothing_is_none(value: Value) -> None:
    assert decode_value(value.SerializeToString()) is None


def test_what_is_no_scalar_is_refused() -> None:
    with pytest.raises(FeatureError, match="no scalar"):
        decode_value(Value(double_list_val=DoubleList(val=[1.0])).SerializeToString())

    with pytest.raises(FeatureError, match="only scalars"):
        value_encoder(11)


@pytest.mark.parametrize("value", ["five", 2**63, 1.5, None])
def test_a_key_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(FeatureError, match="another type"):
        key_encoder(["hour"], [INT64])([value])
