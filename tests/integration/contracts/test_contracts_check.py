from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from flight_sources import ask, checked, published, reading, real_rows, staging_tables
from mlforge import db
from mlforge.contracts import check_partition
from mlforge.contracts.judge import library
from mlforge.contracts.measure import measure
from mlforge.contracts.rules import Rule
from mlforge.contracts.staging import claim_partitions, load_staging, staging_table
from mlforge.contracts.translate import translate
from mlforge.errors import ContractError, SpecError
from mlforge.ingest import extract_partition
from mlforge.refs import PartitionRange
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.spec.datasets import Policy

pytestmark = pytest.mark.integration
DAY = "2013-04-02"
HALF = Policy(broken_rows="quarantine", quarantine_up_to=0.5)
STRICT = "2013-04-01..2013-04-03"


def places(rows: pd.DataFrame, count: int, day: str = DAY) -> pd.Index:
    """Return the places of the first flights of a day that arrived."""
    return rows.index[rows["time_hour"].str.startswith(day) & (rows["air_time"] != "NA")][:count]


def test_the_gale_of_1048_mph_is_set_aside_with_its_rule(database: Settings, flight_delays: UseCase) -> None:
    done = published(flight_delays, "2013-02-12", "weather")
    assert (done.rows, done.rows_quarantined) == (71, 1)
    assert ask(
        "SELECT rules, row->>'wind_speed', row->>'origin', row->>'time_hour', partition_key FROM quarantine.rows"
    ) == [(["wind_speed.range"], "1048.36058", "EWR", "2013-02-12T08:00:00+00:00", "2013-02-12")]
    assert ask("SELECT max(wind_speed) < 60 FROM warehouse.flight_delays__weather") == [(True,)]
    failed = ask("SELECT rule, rows_checked, rows_failed, observed FROM ledger.contract_results WHERE NOT passed")
    assert [(rule, came, broken) for rule, came, broken, _ in failed] == [("wind_speed.range", 72, 1)]
    assert failed[0][3]["examples"][0]["wind_speed"] == 1048.36058


def test_every_rule_leaves_a_result(database: Settings, flight_delays: UseCase) -> None:
    checked(flight_delays, DAY)
    rules = [rule.name for rule in translate(flight_delays.contract("flights"))]
    assert [rule for (rule,) in ask("SELECT rule FROM ledger.contract_results ORDER BY result_id")] == rules
    assert ask("SELECT bool_and(passed), min(contract_version) FROM ledger.contract_results") == [(True, "2.0.0")]


def test_broken_rows_are_all_found_and_set_aside(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    broken = places(rows, 300)
    rows.loc[broken, "distance"] = "7"
    rows.loc[broken[:2], "carrier"] = "??"
    done = published(reading(flight_delays, rows, tmp_path / "flights.csv", policy=HALF), DAY)
    assert (done.rows, done.rows_quarantined) == (681, 300)
    found = ask("SELECT rules, count(*) FROM quarantine.rows GROUP BY rules ORDER BY 2")
    rules = {rule for broken_rules, _ in found for rule in broken_rules}
    assert {"distance.range", "carrier.allowed", "carrier.pattern"} <= rules
    assert ask("SELECT count(*) FROM quarantine.rows WHERE 'distance.range' = ANY(rules)") == [(300,)]
    assert ask("SELECT count(*) FROM quarantine.rows WHERE 'carrier.allowed' = ANY(rules)") == [(2,)]


def test_a_repaired_source_empties_its_quarantine(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    rows.loc[places(rows, 3), "distance"] = "7"
    assert published(reading(flight_delays, rows, tmp_path / "broken.csv"), DAY).rows_quarantined == 3
    assert published(reading(flight_delays, real_rows(), tmp_path / "good.csv"), DAY).changed == 1
    assert ask("SELECT count(*) FROM quarantine.rows") == [(0,)]


def test_more_than_the_policy_allows_publishes_nothing(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    rows.loc[places(rows, 40), "minute"] = "7"
    with pytest.raises(ContractError) as raised:
        checked(reading(flight_delays, rows, tmp_path / "flights.csv"), STRICT)
    message = str(raised.value)
    assert "flight_delays.flights 2013-04-01..2013-04-03, rule hour_and_minute_agree_with_sched_dep_time" in message
    assert "of 2013-04-02, one of 1 of 3 partitions: 40 of 981 rows" in message
    page = re.search(r"see file://(\S+[.]html);", message)
    assert page is not None
    assert "2013-04-02: 40 of 981 rows" in Path(page.group(1)).read_text()
    assert '"carrier"' in message
    assert staging_tables() == []
    assert ask("SELECT to_regclass('warehouse.flight_delays__flights')") == [(None,)]
    assert ask("SELECT count(*) > 0 FROM ledger.contract_results WHERE NOT passed") == [(True,)]


def test_row_count_bounds_hold_for_each_day_of_a_range(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    rows = rows.drop(rows.index[rows["time_hour"].str.startswith(DAY)][100:])
    use_case = reading(flight_delays, rows, tmp_path / "flights.csv")
    with pytest.raises(ContractError, match=r"rows_per_day: broken as a whole in 1 of 3 partitions.*04-02 has 100"):
        checked(use_case, STRICT)
    assert published(use_case, "2013-04-01").rows == 978


def test_a_key_that_comes_twice_sets_both_rows_aside(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    twin = rows.loc[places(rows, 1)].assign(tailnum="N12345")
    use_case = reading(flight_delays, pd.concat([rows, twin], ignore_index=True), tmp_path / "flights.csv")
    assert published(use_case, DAY).rows_quarantined == 2
    assert ask("SELECT DISTINCT rules FROM quarantine.rows") == [(["key.unique"],)]


def test_a_warning_is_told_and_sets_nothing_aside(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    use_case = flight_delays.model_copy()
    contract = flight_delays.contract("flights")
    rule = {
        "name": "short_hops",
        "type": "sql",
        "severity": "warning",
        "query": "SELECT COUNT(*) FROM ${table} WHERE distance < 100",
        "mustBe": 0,
    }
    use_case._contracts = {**use_case._contracts, "flights": _with_rule(contract, rule)}
    check = checked(use_case, DAY)
    assert check.rows_quarantined == 0
    assert len(check.warnings) == 1
    assert check.warnings[0].startswith("short_hops: ")


def test_a_rule_on_an_unknown_column_is_an_error_that_leaves_nothing(
    database: Settings, flight_delays: UseCase
) -> None:
    use_case = flight_delays.model_copy()
    rule = {"name": "gates", "type": "sql", "query": "SELECT COUNT(*) FROM ${table} WHERE gate IS NULL", "mustBe": 0}
    contract = _with_rule(flight_delays.contract("flights"), rule)
    use_case._contracts = {**use_case._contracts, "flights": contract}
    with pytest.raises(SpecError, match=r"the rule 'gates' .*column \"gate\" does not exist"):
        checked(use_case, DAY)
    assert staging_tables() == []


def test_a_time_that_cannot_be_computed_is_an_error_that_names_its_key(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    use_case = reading(flight_delays, real_rows(), tmp_path / "flights.csv", known_at="landed_at")
    with pytest.raises(SpecError, match=r"landed_at.*known_at"):
        checked(use_case, DAY)
    assert staging_tables() == []


def test_each_condition_in_sql_finds_what_its_expectation_finds(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows("weather")
    rows.loc[0, ["origin", "temp", "humid", "wind_dir", "visib"]] = ["XXX", "200", "-1", "7", "NaN"]
    rows.loc[1, ["origin", "precip", "pressure", "month"]] = ["NA", "NA", "inf", "13"]
    rows.loc[2, ["dewp", "wind_speed", "hour"]] = ["-inf", "nan", "24"]
    use_case = reading(flight_delays, rows, tmp_path / "weather.csv", "weather")
    raw = extract_partition(use_case, "weather", PartitionRange.parse("2013-04-01"))
    table = staging_table("flight_delays", "weather", claim_partitions(use_case, raw, raw.code_version))
    import pyarrow.parquet as pq

    load_staging(use_case, "weather", pq.read_table(raw.uri.removeprefix("file://")), table)
    native = [rule for rule in translate(use_case.contract("weather")) if rule.expectation]
    by_expectation = _ask_expectations(native, table)
    with db.connect() as connection:
        figures = measure(connection, table, native, rows=1)
    by_condition = {rule.name: int(figures.values[rule.name]["2013-04-01"] or 0) for rule in native}
    assert by_condition == by_expectation
    assert sum(map(bool, by_condition.values())) >= 9


def _ask_expectations(rules: list[Rule], table: str) -> dict[str, int]:
    """Return how many rows break each rule's own expectation."""
    gx, context = library()
    url = get_settings().postgres_url(driver="psycopg") + "?options=-c%20search_path%3Dstaging"
    source = context.data_sources.add_postgres(table, connection_string=url, create_temp_table=False)
    batch = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("whole").get_batch()
    suite = gx.ExpectationSuite(name=table)
    for rule in rules:
        suite.expectations.append(getattr(gx.expectations, rule.expectation)(**rule.arguments, meta={"r": rule.name}))
    results = batch.validate(suite, result_format="BASIC").results
    source.get_engine().dispose()
    return {result.expectation_config.meta["r"]: result.result["unexpected_count"] for result in results}


def test_a_raw_file_that_was_changed_is_refused(database: Settings, flight_delays: UseCase) -> None:
    raw = extract_partition(flight_delays, "weather", PartitionRange.parse(DAY))
    Path(raw.uri.removeprefix("file://")).write_bytes(b"else")
    with pytest.raises(Exception, match="is not what was stored"):
        check_partition(flight_delays, raw)
    assert ask("SELECT count(*) FROM ledger.attempts") == [(0,)]


def _with_rule(contract, rule):
    from dataclasses import replace

    return replace(contract, quality=(*contract.quality, rule))
