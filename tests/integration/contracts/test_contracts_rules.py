"""Every kind of rule of the standard, measured on real weather and compared with pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from flight_sources import ask, checked, real_rows, staging_tables
from mlforge.errors import ContractError, SpecError
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration
DAYS = "2013-04-01..2013-04-03"


def with_rules(use_case: UseCase, rules: list[dict[str, Any]]) -> UseCase:
    changed = use_case.model_copy()
    contract = replace(use_case.contract("weather"), quality=tuple(rules))
    changed._contracts = {**use_case._contracts, "weather": contract}
    return changed


def test_each_metric_is_what_pandas_computes(database: Settings, flight_delays: UseCase) -> None:
    def of(column: str) -> dict[str, Any]:
        return {"properties": [column]}

    rules = [
        {"name": "rows", "metric": "rowCount"},
        {"name": "no_gust", "metric": "nullValues", "arguments": of("wind_gust")},
        {"name": "no_gust_share", "metric": "nullValues", "unit": "percent", "arguments": of("wind_gust")},
        {"name": "not_ewr", "metric": "invalidValues", "arguments": {**of("origin"), "validValues": ["EWR"]}},
        {"name": "not_k", "metric": "invalidValues", "unit": "percent", "arguments": {**of("origin"), "pattern": "K"}},
        {"name": "calm", "metric": "missingValues", "arguments": {**of("wind_dir"), "missingValues": [None, "0"]}},
        {"name": "twice", "metric": "duplicateValues", "arguments": of("wind_gust")},
        {"name": "twice_share", "metric": "duplicateValues", "unit": "percent",
         "arguments": {"properties": ["origin", "wind_dir"]}},
        {"name": "warmest", "type": "sql", "query": "SELECT max(temp) FROM ${table} AS t WHERE t.origin <> 'x%y'"},
        {"name": "spread", "type": "sql",
         "query": "WITH a AS (SELECT * FROM {object}) SELECT max(temp) - min(temp) FROM a"},
        {"name": "windy", "type": "sql", "query": "SELECT COUNT(*) FROM {table} WHERE wind_speed > 15"},
        {"name": "any_rain", "type": "sql", "query": "SELECT bool_or(precip > 0) FROM ${table}"},
        {"name": "mean_of_gx", "type": "custom", "engine": "greatExpectations", "severity": "warning",
         "implementation": "type: expect_column_mean_to_be_between\nkwargs: {column: temp, minValue: 200}"},
    ]  # fmt: skip
    bounded = [
        rule if rule.get("type") == "custom" else {**rule, "mustBe": -1, "severity": "warning"} for rule in rules
    ]
    checked(with_rules(flight_delays, bounded), DAYS, "weather")
    query = "SELECT partition_key, rule, (observed->>'value')::float FROM ledger.contract_results WHERE NOT passed"
    found = {(key, rule): value for key, rule, value in ask(query)}
    frame = real_rows("weather")
    for column in ("temp", "wind_gust", "wind_dir", "wind_speed", "precip"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    for key in ("2013-04-01", "2013-04-02", "2013-04-03"):
        day = frame[frame["time_hour"].str.startswith(key)]
        gusts, pairs = day["wind_gust"].dropna(), day[["origin", "wind_dir"]].dropna()
        wanted = {
            "rows": len(day),
            "no_gust": day["wind_gust"].isna().sum(),
            "no_gust_share": 100 * day["wind_gust"].isna().mean(),
            "not_ewr": (day["origin"] != "EWR").sum(),
            "not_k": 100 * (~day["origin"].str.contains("K")).mean(),
            "calm": (day["wind_dir"].isna() | (day["wind_dir"] == 0)).sum(),
            "twice": len(gusts) - gusts.nunique(),
            "twice_share": 100 * (len(pairs) - len(pairs.drop_duplicates())) / len(day),
            "warmest": day["temp"].max(),
            "spread": day["temp"].max() - day["temp"].min(),
            "windy": (day["wind_speed"] > 15).sum(),
            "any_rain": float((day["precip"] > 0).any()),
            "mean_of_gx": day["temp"].mean(),
        }
        assert {rule: found[key, rule] for rule in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("severity", "told", "verdict"), [("info", 0, "passed"), ("warning", 1, "warned"), ("error", None, "failed")]
)
def test_severities(database: Settings, flight_delays: UseCase, severity: str, told: int | None, verdict: str) -> None:
    rule = {"name": "hot", "type": "sql", "query": "SELECT AVG(temp) FROM ${table}", "mustBeGreaterThan": 100}
    use_case = with_rules(flight_delays, [{**rule, "severity": severity}])
    if told is None:
        with pytest.raises(ContractError, match=r"rule hot: broken as a whole; it must be above 100"):
            checked(use_case, "2013-04-01", "weather")
    else:
        assert len(checked(use_case, "2013-04-01", "weather").warnings) == told
    assert ask("SELECT verdict FROM ledger.contract_checks") == [(verdict,)]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"type": "sql", "query": "SELECT max(temps) FROM ${table}", "mustBe": 1}, "'r' cannot be computed.*temps"),
        ({"type": "sql", "query": "SELECT max(origin) FROM ${table}", "mustBe": 1},
         "'r' gives 'LGA', which is no number"),
        ({"type": "sql", "query": "SELECT temp FROM ${table}", "mustBe": 1},
         "'r' cannot be computed: more than one row"),
        ({"type": "sql", "query": "SELECT 1/(count(*)-count(*)) FROM ${table}", "mustBe": 1}, "'r'.*division by zero"),
        ({"type": "sql", "query": "SELECT nextval('ledger.attempt_numbers') FROM ${table} LIMIT 1", "mustBe": 1},
         "'r'.*read-only transaction"),
        ({"type": "custom", "engine": "gx", "implementation": {"type": "expect_column_means"}}, "did you mean"),
        ({"type": "custom", "engine": "gx", "implementation": {"type": "expect_column_mean_to_be_between",
          "kwargs": {"column": "temps", "min_value": 1}}}, "'r' cannot be computed.*temps"),
        ({"type": "custom", "engine": "gx", "implementation": {"type": "expect_column_mean_to_be_between",
          "kwargs": {"columns": "temp"}}}, "'r' gives .* wrong arguments"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_computed_is_named_and_leaves_nothing(
    database: Settings, flight_delays: UseCase, rule: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        checked(with_rules(flight_delays, [{"name": "r", **rule}]), "2013-04-01", "weather")
    assert staging_tables() == []
