"""Columns of queries, traced to the columns of tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import SpecError
from mlforge.lineage.columns import QueryLineage, trace_query

TABLES = {
    "w.f": dict.fromkeys(("a", "b", "c", "k"), "double precision"),
    "w.g": dict.fromkeys(("k", "x", "y"), "double precision"),
}


def traced(text: str) -> QueryLineage:
    return trace_query(text, TABLES, where="a view")


def ways(text: str, column: str = "v") -> set[tuple[str, str, str]]:
    return {(f"{item.table}.{item.column}", item.kind, item.subtype) for item in traced(text).columns[column]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", {("w.f.a", "DIRECT", "IDENTITY")}),
        ("(a)", {("w.f.a", "DIRECT", "IDENTITY")}),
        ("a::bigint", {("w.f.a", "DIRECT", "TRANSFORMATION")}),
        ("coalesce(a, b)", {("w.f.a", "DIRECT", "TRANSFORMATION"), ("w.f.b", "DIRECT", "TRANSFORMATION")}),
        ("CASE WHEN a > 1 THEN b END", {("w.f.a", "INDIRECT", "CONDITIONAL"), ("w.f.b", "DIRECT", "TRANSFORMATION")}),
        ("max(a) OVER (PARTITION BY b ORDER BY c)",
         {("w.f.a", "DIRECT", "AGGREGATION"), ("w.f.b", "INDIRECT", "WINDOW"), ("w.f.c", "INDIRECT", "WINDOW")}),
        ("row_number() OVER (ORDER BY a)", {("w.f.a", "INDIRECT", "WINDOW")}),
        ("%(end)s", set()),
        ("now()", set()),
        ("'5 %%'", set()),
        ("(SELECT max(x) FROM w.g WHERE w.g.k = f.k)", {("w.g.x", "DIRECT", "AGGREGATION")}),
        ("a IN (SELECT x FROM w.g)", {("w.f.a", "DIRECT", "TRANSFORMATION"), ("w.g.x", "DIRECT", "TRANSFORMATION")}),
    ],
)  # fmt: skip
def test_an_expression_has_its_inputs(expression: str, expected: set[tuple[str, str, str]]) -> None:
    assert ways(f"SELECT {expression} AS v FROM w.f") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("avg(a)", {("w.f.a", "DIRECT", "AGGREGATION")}),
        ("(avg((a > 15)::int) FILTER (WHERE b))::double precision",
         {("w.f.a", "DIRECT", "AGGREGATION"), ("w.f.b", "INDIRECT", "CONDITIONAL")}),
        ("array_agg(a ORDER BY b)", {("w.f.a", "DIRECT", "AGGREGATION"), ("w.f.b", "INDIRECT", "SORT")}),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY a)", {("w.f.a", "DIRECT", "AGGREGATION")}),
        ("count(*)", set()),
    ],
)  # fmt: skip
def test_an_aggregate_has_its_inputs(expression: str, expected: set[tuple[str, str, str]]) -> None:
    assert ways(f"SELECT k, {expression} AS v FROM w.f GROUP BY k") == expected


def test_columns_are_followed_through_common_tables_subqueries_laterals_and_functions() -> None:
    text = """
        WITH first AS (SELECT k, a + b AS s FROM w.f WHERE c > 0),
             second AS (SELECT k, avg(s) AS m FROM first GROUP BY 1)
        SELECT s.m AS v, l.x AS latest, u AS item, g AS step, q.top
        FROM second AS s
        JOIN LATERAL (SELECT x FROM w.g WHERE g.k = s.k ORDER BY y DESC LIMIT 1) AS l ON true
        JOIN (SELECT k, max(b) AS top FROM w.f GROUP BY k) AS q USING (k),
        unnest(ARRAY[s.m]) AS u, generate_series(1, q.top) AS g
    """
    lineage = traced(text)
    assert {item.column: item.subtype for item in lineage.columns["v"]} == {"a": "AGGREGATION", "b": "AGGREGATION"}
    assert [item.address for item in lineage.columns["latest"]] == [("w.g", "x")]
    assert {item.column for item in lineage.columns["item"]} == {"a", "b"}
    assert [(item.column, item.subtype) for item in lineage.columns["top"]] == [("b", "AGGREGATION")]
    assert {(item.column, item.subtype) for item in lineage.rows} >= {
        ("c", "FILTER"), ("k", "GROUP_BY"), ("k", "FILTER"), ("y", "SORT"),
    }  # fmt: skip
    assert lineage.tables == ("w.f", "w.g")


def test_a_union_has_the_inputs_of_both_sides_by_position_and_a_star_every_column() -> None:
    lineage = traced("SELECT k, a AS v FROM w.f UNION ALL SELECT k, x FROM w.g")
    assert [item.address for item in lineage.columns["v"]] == [("w.f", "a"), ("w.g", "x")]
    assert list(traced("SELECT * FROM w.g").columns) == ["k", "x", "y"]


def test_a_recursive_query_ends() -> None:
    text = "WITH RECURSIVE n AS (SELECT a AS v FROM w.f UNION ALL SELECT v + 1 FROM n WHERE v < 9) SELECT v FROM n"
    assert [item.address for item in traced(text).columns["v"]] == [("w.f", "a")]


def test_a_column_that_no_contract_has_is_still_named() -> None:
    assert [item.address for item in traced("SELECT gone AS v FROM w.f").columns["v"]] == [("w.f", "gone")]


@pytest.mark.parametrize("text", ["SELEC a FROM w.f", "DELETE FROM w.f", "SELECT (a FROM w.f"])
def test_what_is_no_select_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="a view"):
        traced(text)


names = st.sampled_from(["a", "b", "c", "k"])
expressions = st.recursive(
    names,
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("coalesce({}, 0)".format, inner),
        st.builds("CASE WHEN {} > 0 THEN {} ELSE {} END".format, inner, inner, inner),
    ),
    max_leaves=6,
)


@given(expression=expressions, layers=st.integers(0, 3))
def test_every_column_that_is_written_is_found_through_any_depth(expression: str, layers: int) -> None:
    text = f"SELECT {expression} AS v, a, b, c, k FROM w.f"
    for _ in range(layers):
        text = f"SELECT v, a, b, c, k FROM ({text}) AS q"
    written = {name for name in "abck" if name in expression.replace("coalesce", "").replace("CASE", "")}
    assert {item.column for item in traced(text).columns["v"]} == written
