from __future__ import annotations

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
    query = rules["few"].arguments["unexpected_rows_query"]
    assert '(100.0 * count(*) FILTER (WHERE "n" IS NULL) / count(*)) < 5' in query
    assert "count(*) BETWEEN 1 AND 9" in rules["rows"].arguments["unexpected_rows_query"]


def test_a_key_of_several_columns_is_unique_within_its_partition(flight_delays: UseCase) -> None:
    rules = {rule.name: rule for rule in translate(flight_delays.contract("flights"))}
    assert rules["key.unique"].arguments["column_list"] == [
        "partition_key", "carrier", "flight", "origin", "dest", "time_hour", "minute",
    ]  # fmt: skip


def test_braces_and_colons_in_sql_are_no_placeholders(tmp_path: Path) -> None:
    query = "SELECT COUNT(*) FROM ${table} WHERE n::text ~ '^[0-9]{3} :x$'"
    rule = rules_of(tmp_path, [{"name": "r", "type": "sql", "query": query, "mustBe": 0}])["r"]
    assert rule.broken == "n::text ~ '^[0-9]{3} :x$'"
    assert rule.arguments["unexpected_rows_query"].endswith(r"n::text ~ '^[0-9]{{3}} \:x$'")


@pytest.mark.parametrize(
    ("column", "quality", "message"),
    [
        ({"logicalTypeOptions": {"maxProperties": 1}}, [], "logicalTypeOptions.*maxProperties"),
        ({}, [{"name": "r", "type": "custom", "engine": "soda", "implementation": "x"}], "'r' is"),
        ({}, [{"name": "r", "metric": "freshness", "mustBe": 0}], "'r' speaks of 0 columns"),
        ({"quality": [{"metric": "freshness", "mustBe": 0}]}, [], "the metric 'freshness'"),
        ({}, [{"name": "r", "metric": "rowCount"}], "0 bounds instead of one"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "mustNotBe": 2}], "2 bounds"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": "many"}], "the bound 'many'"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "unit": "percent"}], "the unit 'percent'"),
        ({}, [{"name": "r", "metric": "rowCount", "mustBe": 1, "severity": "fatal"}], "the severity 'fatal'"),
        ({}, [{"name": "r", "type": "sql", "query": "SELECT max(n) FROM ${table}", "mustBe": 0}], "cannot be found"),
        ({"quality": [{"metric": "nullValues", "mustBe": 0}] * 2}, [], "two rules are named 'n.nullValues'"),
    ],
)
def test_what_cannot_be_checked_is_an_error(
    tmp_path: Path, column: dict[str, Any], quality: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        rules_of(tmp_path, quality, **column)
