"""Real flights and weather, changed for the worse: the policy applies, and the counts always add up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flight_sources import ask, checked, published, reading, real_rows, staging_tables, warehouse
from mlforge.errors import ContractError, EmptyPartitionError, SourceError
from mlforge.ingest import extract_partition
from mlforge.refs import CheckedPartition, PartitionRange, PublishedPartition
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.datasets import Policy

pytestmark = pytest.mark.integration
DAY = "2013-04-02"


def of_day(rows: pd.DataFrame) -> pd.Index:
    return rows.index[rows["time_hour"].str.startswith(DAY)]


def numbers(rows: pd.DataFrame, column: str) -> pd.Series:
    return pd.to_numeric(rows[column], errors="coerce")


def broken_rules(key: str = DAY) -> list[str]:
    query = "SELECT rule FROM ledger.contract_results WHERE NOT passed AND partition_key = %s ORDER BY rule"
    return [rule for (rule,) in ask(query, key)]


def counts_add_up(done: CheckedPartition | PublishedPartition, came: int) -> bool:
    return done.rows + done.rows_quarantined + done.rows_duplicate == came


def test_one_percent_is_set_aside_sixty_is_refused_and_what_stood_stays(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    day = of_day(rows)
    rows.loc[day[:9], "flight"] = "99999"
    rows = pd.concat([rows, rows.loc[day[20:23]]], ignore_index=True)  # exact copies
    done = published(reading(flight_delays, rows, tmp_path / "one.csv"), DAY)
    assert (done.rows, done.rows_quarantined, done.rows_duplicate) == (972, 9, 3)
    assert counts_add_up(done, 984)
    stood = warehouse()
    rows.loc[of_day(rows)[:600], "flight"] = "99999"
    with pytest.raises(ContractError, match=r"rule flight.range: 600 of 984 rows .61.0%. break .* 1.0% may"):
        published(reading(flight_delays, rows, tmp_path / "sixty.csv"), DAY)
    assert warehouse() == stood
    assert staging_tables() == []
    assert ask(
        "SELECT verdict, rows_in, rows_kept + rows_broken + rows_duplicate"
        " FROM ledger.contract_checks ORDER BY check_id"
    ) == [("quarantined", 984, 984), ("failed", 984, 984)]


@pytest.mark.parametrize(
    ("dataset", "changes", "rule"),
    [
        ("flights", {"distance": 1.609344}, "distance_is_in_miles"),
        ("weather", {"wind_speed": 1 / 1.15078, "wind_gust": 1 / 1.15078}, "wind_is_in_miles_per_hour"),
        ("weather", {"wind_speed": 1.609344, "wind_gust": 1.609344}, "wind_is_in_miles_per_hour"),
    ],
)
def test_other_units_are_noticed(
    database: Settings,
    flight_delays: UseCase,
    tmp_path: Path,
    dataset: str,
    changes: dict[str, float],
    rule: str,
) -> None:
    rows = real_rows(dataset)
    for column, factor in changes.items():
        values = numbers(rows, column) * factor
        rows[column] = values.round().astype("Int64") if dataset == "flights" else values
    with pytest.raises(ContractError):
        checked(reading(flight_delays, rows, tmp_path / "units.csv", dataset), DAY, dataset)
    assert rule in broken_rules()


def test_celsius_is_noticed(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows("weather")
    for column in ("temp", "dewp"):
        rows[column] = (numbers(rows, column) - 32) / 1.8
    with pytest.raises(ContractError, match="temperatures_are_in_fahrenheit"):
        checked(reading(flight_delays, rows, tmp_path / "celsius.csv", "weather"), DAY, "weather")
    assert broken_rules() == ["temperatures_are_in_fahrenheit"]


@pytest.mark.parametrize(
    ("dataset", "column", "rule"),
    [("flights", "tailnum", "departed_flight_has_tailnum"), ("weather", "temp", "temp_is_there")],
)
def test_a_column_without_values_is_noticed(
    database: Settings, flight_delays: UseCase, tmp_path: Path, dataset: str, column: str, rule: str
) -> None:
    rows = real_rows(dataset).assign(**{column: "NA"})
    with pytest.raises(ContractError):
        checked(reading(flight_delays, rows, tmp_path / "empty.csv", dataset), DAY, dataset)
    assert rule in broken_rules()


def test_a_clock_an_hour_off_is_refused(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    moments = pd.to_datetime(rows["time_hour"], utc=True) + pd.Timedelta(hours=1)
    rows["time_hour"] = moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    with pytest.raises(ContractError, match="time_hour_agrees_with_local_time"):
        checked(reading(flight_delays, rows, tmp_path / "clock.csv"), DAY)


@pytest.mark.parametrize("days", ["2013-03-09..2013-03-12", "2013-11-02..2013-11-05"])
def test_days_of_23_and_25_local_hours_pass(database: Settings, flight_delays: UseCase, days: str) -> None:
    for dataset in ("flights", "weather"):
        assert checked(flight_delays, days, dataset).rows_quarantined == 0
    assert ask("SELECT DISTINCT verdict FROM ledger.contract_checks") == [("passed",)]


def test_a_type_that_drifts_a_name_that_changes_and_a_day_without_rows_stop_before_the_check(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    drifted = rows.assign(distance=rows["distance"] + ".5 miles")
    with pytest.raises(SourceError, match=r"'distance' are no int32.*\.5 miles"):
        checked(reading(flight_delays, drifted, tmp_path / "type.csv"), DAY)
    renamed = rows.rename(columns={"distance": "distances"})
    with pytest.raises(SourceError, match=r"no column 'distance'.*did you mean 'distances'"):
        checked(reading(flight_delays, renamed, tmp_path / "name.csv"), DAY)
    gone = reading(flight_delays, rows.drop(of_day(rows)), tmp_path / "gone.csv")
    with pytest.raises(EmptyPartitionError):
        extract_partition(gone, "flights", PartitionRange.parse(DAY))
    assert ask("SELECT count(*) FROM ledger.contract_checks") == [(0,)]


@pytest.mark.parametrize("policy", ["ignore", "warn", "fail"])
def test_a_column_too_many_is_never_staged(
    database: Settings, flight_delays: UseCase, tmp_path: Path, policy: str
) -> None:
    declared = Policy.model_validate({"extra_columns": policy})
    use_case = reading(flight_delays, real_rows().assign(gate="12"), tmp_path / "gate.csv", policy=declared)
    if policy == "fail":
        with pytest.raises(ContractError, match="does not name: gate"):
            checked(use_case, DAY)
    else:
        check = checked(use_case, DAY)
        assert ask(f"SELECT * FROM {check.uri} LIMIT 0") == []
        assert check.warnings == (("columns that the contract does not name: gate",) if policy == "warn" else ())
        query = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'staging' AND column_name = %s"
        assert [ask(query, name) for name in ("gate", "distance")] == [[(0,)], [(1,)]]
    assert ask("SELECT extra_columns FROM ledger.contract_checks") == [(["gate"],)]


def test_who_only_warns_publishes_broken_rows_but_not_what_no_table_can_hold(
    database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    day = of_day(rows)
    rows.loc[day[:50], "flight"] = "99999"
    rows.loc[day[60], "distance"] = "NA"
    use_case = reading(
        flight_delays, rows, tmp_path / "warn.csv", policy=Policy(broken_rows="warn", quarantine_up_to=0.01)
    )
    check = checked(use_case, DAY)
    assert (check.rows, check.rows_quarantined) == (980, 1)
    assert check.warnings == ("flight.range: 50 rows",)
    done = published(use_case, DAY)
    assert (done.rows, done.rows_quarantined) == (980, 1)
    assert ask("SELECT rules FROM quarantine.rows") == [(["distance.required"],)]
    strict = use_case.dataset("flights").model_copy(update={"policy": Policy(broken_rows="warn")})
    use_case = use_case.model_copy(update={"datasets": {**use_case.datasets, "flights": strict}})
    with pytest.raises(ContractError, match=r"rule distance.required: 1 of 981 rows"):
        checked(use_case, DAY)


def test_a_range_leaves_what_its_days_would_leave(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows()
    day = of_day(rows)
    rows.loc[day[:5], "flight"] = "99999"
    rows = pd.concat([rows, rows.loc[day[7:8]].assign(tailnum="N12345")], ignore_index=True)
    use_case = reading(flight_delays, rows, tmp_path / "flights.csv")
    query = """
        SELECT partition_key, rule, severity, passed, rows_checked, rows_failed, observed FROM ledger.contract_results
        WHERE attempt = ANY(%s) ORDER BY partition_key, rule
    """
    checks = """
        SELECT partition_key, verdict, rows_in, rows_kept, rows_broken, rows_duplicate FROM ledger.contract_checks
        WHERE attempt = ANY(%s) ORDER BY partition_key
    """
    days = [checked(use_case, f"2013-04-0{day}").attempt for day in (1, 2, 3)]
    range_ = [checked(use_case, "2013-04-01..2013-04-03").attempt]
    assert len(ask(query, days)) > 100
    assert ask(query, range_) == ask(query, days)
    assert ask(checks, range_) == ask(checks, days)
