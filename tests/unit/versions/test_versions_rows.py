from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.versions.rows import compare_rows

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64()), ("a", pa.float64()), ("b", pa.string())])
ROWS = st.dictionaries(
    st.tuples(st.sampled_from(["x", "y", "é", ""]) | st.none(), st.integers(0, 4)),
    st.tuples(st.sampled_from([0.0, 1.5, float("nan")]) | st.none(), st.sampled_from(["p", "q"]) | st.none()),
    max_size=12,
)


def table(rows: dict[Any, Any]) -> pa.Table:
    return pa.Table.from_pylist([{"k": k, "n": n, "a": a, "b": b} for (k, n), (a, b) in rows.items()], schema=SCHEMA)


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)


@settings(max_examples=60)
@given(ROWS, ROWS, st.randoms())
def test_rows_differ_as_dictionaries_do(old: dict[Any, Any], new: dict[Any, Any], random: Any) -> None:
    shuffled = list(new.items())
    random.shuffle(shuffled)
    found = compare_rows(table(old), table(dict(shuffled)), ["k", "n"], SCHEMA.names)
    both = old.keys() & new.keys()
    cells = [sum(not same(old[key][place], new[key][place]) for key in both) for place in (0, 1)]
    assert (found.added, found.removed) == (len(new.keys() - old.keys()), len(old.keys() - new.keys()))
    assert found.changed == sum(not same(old[key], new[key]) for key in both)
    assert found.same + found.changed == len(both)
    assert [found.columns[name].cells if name in found.columns else 0 for name in ("a", "b")] == cells


def test_examples_name_the_row_and_both_values() -> None:
    old, new = table({("x", 1): (0.0, "p"), ("y", 2): (1.0, None)}), table({("y", 2): (1.5, "q")})
    found = compare_rows(old, new, ["k", "n"], SCHEMA.names)
    assert found.columns["a"].examples == [("y 2", "1", "1.5")]
    assert found.columns["b"].examples == [("y 2", "missing", "q")]
    assert found.removed_examples == ["x 1"]


def test_a_key_that_comes_twice_is_one_row_more() -> None:
    one = table({("x", 1): (0.0, "p")})
    found = compare_rows(one, pa.concat_tables([one, one]), ["k", "n"], SCHEMA.names)
    assert (found.added, found.removed, found.changed, found.same) == (1, 0, 0, 1)


def test_without_a_key_whole_rows_are_compared() -> None:
    old, new = (
        table({("x", 1): (0.0, "p"), ("y", 1): (None, "p")}),
        table({("y", 1): (None, "p"), ("x", 1): (2.0, "p")}),
    )
    found = compare_rows(old, new, [], SCHEMA.names)
    assert (found.added, found.removed, found.changed, found.same) == (1, 1, 0, 1)


def test_a_column_of_another_type_is_compared_by_value() -> None:
    old = pa.table({"k": pa.array([1, 2], pa.int32()), "a": pa.array([1, 2], pa.int16())})
    new = pa.table({"k": pa.array([1, 2], pa.int64()), "a": pa.array(["1", "3"])})
    found = compare_rows(old, new, ["k"], ["k", "a"])
    assert (found.same, found.columns["a"].examples) == (1, [("2", "2", "3")])


def test_empty_tables_are_the_same() -> None:
    found = compare_rows(table({}), table({}), ["k", "n"], SCHEMA.names)
    assert (found.added, found.removed, found.changed, found.same) == (0, 0, 0, 0)
