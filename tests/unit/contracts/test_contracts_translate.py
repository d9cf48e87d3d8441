from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlforge.contracts.rules import Rule
from mlforge.contracts.translate import translate
from mlforge.errors import SpecError
from mlforge.spec import UseCase, load_contract


def rules_of(folder: Path, quality: list[dict[str, Any]] | None = None, /, **column: Any) -> dict[str, Rule]:
    """Return the rules of a contract with one column `n`, beside the two on its times."""
    schema = {"name": "t", "properties": [{"name": "n", "logicalType": "integer", **column}], "quality": quality or []}
    document = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "t", "version": "1", "status": "active"}
    path = folder / "contract.yaml"
    path.write_text(yaml.safe_dump({**document, "schema": [schema]}))
    rules = {rule.name: rule for rule in translate(load_contract(path))}
    del rules["event_timestamp.required"], rules["known_at.required"]
    return rules


@pytest.mark.parametrize(
    ("column", "name", "broken"),
    [
        ({"required": True}, "n.required", '"n" IS NULL'),
        ({"logicalTypeOptions": {"minimum": 1, "maximum": 9}}, "n.range", '"n" < 1 OR "n" > 9'),
        ({"logicalTypeOptions": {"exclusiveMinimum": 0}}, "n.range", '"n" <= 0'),
        ({"logicalTypeOptions": {"multipleOf": 10}}, "n.multiple", '"n"::numeric % 10 <> 0'),
        ({"enum": [{"value": 1}, {"value": 2}]}, "n.allowed", '"n" NOT IN (1, 2)'),
        ({"logicalType": "string", "logicalTypeOptions": {"pattern": "^it's$"}}, "n.pattern", "\"n\" !~ '^it''s$'"),
        ({"logicalType": "string", "logicalTypeOptions": {"maxLength": 3}}, "n.length", 'char_length("n") > 3'),
        (
            {"logicalType": "timestamp", "logicalTypeOptions": {"minimum": "2013-01-01", "timezone": True}},
            "n.range",
            "\"n\" < '2013-01-01'::timestamptz",
        ),
        ({"quality": [{"metric": "nullValues", "mustBe": 0}]}, "n.nullValues", '"n" IS NULL'),
        (
            {"quality": [{"metric": "invalidValues", "arguments": {"validValues": [1]}, "mustBe": 0}]},
            "n.invalidValues",
            '"n" NOT IN (1)',
        ),
        (
            {"quality": [{"metric": "missingValues", "arguments": {"missingValues": [None, "?"]}, "mustBe": 0}]},
            "n.missingValues",
            '"n" IS NULL OR "n"::text = \'?\'',
        ),
    ],
)
def test_a_rule_on_rows_has_its_condition(tmp_path: Path, column: dict[str, Any], name: str, broken: str) -> None:
    rules = rules_of(tmp_path, **column)
    assert list(rules) == [name]
    assert (rules[name].scope, rules[name].broken) == ("row", broken)


def test_a_bound_that_is_not_zero_holds_for_the_partition(tmp_path: Path) -> None:
    quality = [
        {"name": "few", "metric": "nullValues", "arguments": {"properties": ["n"]}, "unit": "percent",
         "mustBeLessThan": 5},
        {"name": "rows", "metric": "rowCount", "mustBeBetween": [1, 9]},
        {"name": "note", "type": "text", "description": "for people"},
    ]  # fmt: skip
    rules = rules_of(tmp_path, quality)
    assert list(rules) == ["few", "rows"]
    assert {rule.scope for rule in rules.values()} == {"partition"}
    assert rules["few"].aggregate == '100.0 * count(*) FILTER (WHERE "n" IS NULL) / nullif(count(*), 0)'
    assert (rules["few"].bound.text, rules["rows"].bound.text) == ("below 5 %", "between 1 and 9 rows")


@pytest.mark.parametrize(
    "bound",
    [{"mustBe": 0}, {"mustBe": 0, "unit": "percent"}, {"mustBeLessOrEqualTo": 0, "unit": "percent"},
     {"mustBeLessThan": 1}],
)  # fmt: skip
def test_a_rule_that_allows_no_row_holds_for_each_row(tmp_path: Path, bound: dict[str, Any]) -> None:
    (rule,) = rules_of(tmp_path, quality=[{"metric": "nullValues", **bound}]).values()
    assert (rule.scope, rule.broken) == ("row", '"n" IS NULL')


@pytest.mark.parametrize(
    ("bound", "right", "wrong"),
    [
        ({"mustBe": 3}, [3], [2, 4]),
        ({"mustNotBe": 3}, [2, 4], [3]),
        ({"mustBeGreaterThan": 3}, [3.1, 4], [3, 2]),
        ({"mustBeGreaterOrEqualTo": 3}, [3, 4], [2.9]),
        ({"mustBeLessThan": 3}, [2.9], [3, 4]),
        ({"mustBeLessOrEqualTo": 3}, [3], [3.1]),
        ({"mustBeBetween": [3, 5]}, [3, 4, 5], [2.9, 5.1]),
        ({"mustNotBeBetween": [3, 5]}, [2.9, 5.1], [3, 4, 5]),
        ({"mustBe": True}, [1.0], [0.0]),
    ],
)
def test_every_operator_of_the_standard(
    tmp_path: Path, bound: dict[str, Any], right: list[float], wrong: list[float]
) -> None:
    rule = rules_of(tmp_path, [{"name": "r", "type": "sql", "query": "SELECT max(n) FROM ${table}", **bound}])["r"]
    assert [rule.bound.holds(figure) for figure in right] == [True] * len(right)
    assert [rule.bound.holds(figure) for figure in [*wrong, None, float("nan")]] == [False] * (len(wrong) + 2)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT AVG(n) FROM ${table}",
        "SELECT COUNT(*) FROM {object} WHERE n IN (SELECT max(n) FROM {object})",
        "SELECT COUNT(*) FROM ${table} WHERE n > 1 GROUP BY n LIMIT 1",
        "SELECT COUNT(DISTINCT n) FROM ${table} AS t WHERE t.n > 1;",
    ],
)
def test_a_query_whose_rows_cannot_be_found_is_asked_of_the_whole_partition(tmp_path: Path, query: str) -> None:
    (rule,) = rules_of(tmp_path, [{"type": "sql", "query": query, "mustBe": 0}]).values()
    assert (rule.scope, rule.broken) == ("partition", None)
    assert rule.query is not None
    assert "${table}" in rule.query


def test_an_entry_below_a_column_speaks_of_it(tmp_path: Path) -> None:
    query = "SELECT COUNT(*) FROM {object} WHERE {property} < 0"
    assert rules_of(tmp_path, quality=[{"type": "sql", "query": query, "mustBe": 0}])["n.sql"].broken == '"n" < 0'
    assert rules_of(tmp_path, quality=[{"metric": "duplicateValues", "mustBe": 0}])["n.duplicateValues"].unique == (
        "n",
    )


def test_an_expectation_is_taken_by_its_name(tmp_path: Path) -> None:
    written = "type: expect_column_mean_to_be_between\nkwargs: {minValue: 1, maxValue: 2}"
    entry = {"type": "custom", "engine": "great-expectations", "implementation": written, "severity": "info"}
    (rule,) = rules_of(tmp_path, quality=[entry]).values()
    assert (rule.custom, rule.severity) == ("ExpectColumnMeanToBeBetween", "info")
    assert rule.arguments == {"min_value": 1, "max_value": 2, "column": "n"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("email", ["a@b.co"], ["a.b.co", "a@b"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
        ("uri", ["https://a.b/c?d"], ["a.b/c"]),
        ("hostname", ["a-b.example.org", "localhost"], ["-a.org", "a..b", "x" * 64]),
        ("ipv4", ["127.0.0.1", "255.255.255.255"], ["256.1.1.1", "1.1.1", "1.1.1.1."]),
        ("ipv6", ["::1", "fe80::1", "::", "1:2:3:4:5:6:7:8"], ["1::2::3", "1:2:3", "12345::"]),
        ("byte", ["YWI=", ""], ["YWI", "a b="]),
    ],
)
def test_formats_of_text(tmp_path: Path, kind: str, good: list[str], bad: list[str]) -> None:
    rule = rules_of(tmp_path, logicalType="string", logicalTypeOptions={"format": kind})["n.format"]
    regex = rule.arguments["regex"]
    assert [bool(re.search(regex, text)) for text in [*good, *bad]] == [True] * len(good) + [False] * len(bad)


def test_a_key_of_several_columns_is_unique_within_its_partition(flight_delays: UseCase) -> None:
    rules = {rule.name: rule for rule in translate(flight_delays.contract("flights"))}
    assert rules["key.unique"].unique == ("carrier", "flight", "origin", "dest", "time_hour", "minute")


@pytest.mark.parametrize(
    ("column", "quality", "message"),
    [
        ({"logicalTypeOptions": {"maxProperties": 1}}, [], "logicalTypeOptions.*maxProperties"),
        ({"logicalTypeOptions": {"format": "i7"}}, [], "the format 'i7'"),
        ({"logicalType": "string", "logicalTypeOptions": {"minimum": 1}}, [], "logicalTypeOptions.*minimum"),
        ({"logicalType": "array", "items": {"logicalType": "string"}}, [], "'n' is nested .array."),
        ({"properties": [{"name": "x", "logicalType": "string"}]}, [], "'n' is nested"),
        ({"requird": True}, [], "unknown key 'requird' → did you mean 'required'"),
        ({"physicalName": "m"}, [], "another physicalName"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBeGreatr": 0}], "'mustBeGreatr' → did you mean 'mustBeGreater"),
        ({}, [{"name": "r", "type": "custom", "engine": "soda", "implementation": "x"}], "the engine 'soda'"),
        ({}, [{"name": "r", "type": "custom", "engine": "greatExpectations", "implementation": "x"}], "no expectation"),
        ({}, [{"name": "r", "metric": "nullValues", "mustBe": 0}], "'r' speaks of 0 columns"),
        ({}, [{"name": "r", "metric": "rowCounts", "mustBe": 0}], "did you mean rowCount"),
        ({}, [{"name": "r", "type": "sql", "query": "SELECT 1", "mustBe": 0}], "asks no ..table"),
        (
            {},
            [{"name": "r", "metric": "duplicateValues", "arguments": {"properties": ["m"]}, "mustBe": 0}],
            "unknown column 'm'",
        ),
        ({}, [{"name": "r", "metric": "rowCount", "mustBeBetween": [1, 2, 3]}], "mustBeBetween"),
        ({"quality": [{"metric": "freshness", "mustBe": 0}]}, [], "the metric 'freshness'"),
        ({}, [{"name": "r", "metric": "rowCount"}], "0 bounds instead of one"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "mustNotBe": 2}], "2 bounds"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": "many"}], "the bound 'many'"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "unit": "percent"}], "the unit 'percent'"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "severity": "fatal"}], "the severity 'fatal'"),
        ({"quality": [{"metric": "nullValues", "mustBe": 0}] * 2}, [], "two rules are named 'n.nullValues'"),
    ],
)
def test_what_cannot_be_checked_is_an_error(
    tmp_path: Path, column: dict[str, Any], quality: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        rules_of(tmp_path, quality, **column)
