from __future__ import annotations

import ast
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import SpecError
from mlforge.scaffold.names import (
    aliases,
    is_identifier,
    nearest_identifier,
    require_columns,
    require_identifier,
    sql_name,
)
from mlforge.scaffold.texts import prose, python_value, yaml_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
NASTY = [
    "Arr Delay (min)",
    "select",
    "ünïcode",
    'quo"te',
    "it's",
    "1st",
    "no",
    "null",
    "a: b",
    "# x",
    "",
    " ",
    "2013-01-01",
]


@given(SCALARS)
def test_a_value_comes_back_from_yaml_also_inside_braces(value: Any) -> None:
    assert yaml.safe_load(f"key: {yaml_value(value)}") == {"key": value}
    assert yaml.safe_load(f"{{key: {yaml_value(value)}, {yaml_value(str(value))}: 1}}")["key"] == value


@pytest.mark.parametrize("value", NASTY)
def test_names_that_yaml_would_read_otherwise_come_back(value: str) -> None:
    assert yaml.safe_load(f"{{key: {yaml_value(value)}}}") == {"key": value}
    assert yaml.safe_load(f"{{{yaml_value(value)}: 1}}") == {value: 1}


@given(SCALARS)
def test_a_value_comes_back_from_python(value: Any) -> None:
    assert ast.literal_eval(python_value(value)) == value


@given(TEXTS)
def test_prose_cannot_end_a_docstring_a_comment_or_a_cell(text: str) -> None:
    clean = prose(text)
    assert clean.isprintable() or not clean
    assert ast.get_docstring(ast.parse(f'"""About {clean}."""'), clean=False) == f"About {clean}."
    assert not set(clean) & set("|`\\\n")


@given(TEXTS)
def test_there_is_a_nearest_identifier_for_every_text(text: str) -> None:
    assert is_identifier(nearest_identifier(text))


@given(st.lists(TEXTS, unique=True, max_size=20))
def test_no_two_columns_have_the_same_alias(names: list[str]) -> None:
    found = aliases(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert all(is_identifier(alias) and "__" not in alias for alias in found.values())
    assert not {"event_timestamp", "known_at", "moment_weekday"} & set(found.values())


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Arr Delay (min)", "arr_delay_min"),
        ("customerId", "customer_id"),
        ("ünïcode", "unicode"),
        ("1st", "c_1st"),
        ("日本", "column"),
        ("a" * 40, "a" * 24),
    ],
)
def test_nearest_identifiers(text: str, near: str) -> None:
    assert nearest_identifier(text) == near


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    assert require_identifier("churn", "use case") == "churn"
    with pytest.raises(SpecError, match="take 'customer_churn'"):
        require_identifier("Customer-Churn", "use case")
    with pytest.raises(SpecError, match="take 'trips'"):
        require_identifier("1Trips", "use case")
    with pytest.raises(SpecError, match=f"take '{'x' * 24}'"):
        require_identifier("x" * 25, "use case")


def test_sql_names_are_quoted_only_where_they_must_be() -> None:
    assert [sql_name(name) for name in ("carrier", "select", "Arr Delay", 'a"b', "_x")] == [
        "carrier", '"select"', '"Arr Delay"', '"a""b"', "_x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (["a", ""], "it is empty"),
        (["a", "a"], "it stands twice"),
        (["a", "event_timestamp"], "a column of its own"),
        (["a", "x" * 64], "longer than"),
        (["a", "b\nc"], "cannot be printed"),
        (["a", ".b"], "begins like a path"),
        (["a", "share %"], "a per cent sign"),
    ],
)
def test_a_name_that_no_contract_can_take_is_told(columns: list[str], why: str) -> None:
    with pytest.raises(SpecError, match=why) as raised:
        require_columns(columns, "x.csv")
    assert "rename them in the source" in str(raised.value)


def test_nasty_names_are_no_problem() -> None:
    require_columns([name for name in NASTY if name.strip()], "x.csv")
