"""`mlforge contract check` and `results` on real flights, with a real ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flight_sources import ask, published, reading, real_rows, staging_tables
from mlforge.cli.main import build_app
from mlforge.errors import ContractError
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration
DAY = "2013-04-02"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["contract", *arguments])


def test_a_file_is_checked_and_nothing_is_written(module_database: Settings, tmp_path: Path) -> None:
    rows = real_rows()
    day = rows[rows["time_hour"].str.startswith(DAY)].copy()
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    day.to_csv(good, index=False)
    day.iloc[:20, day.columns.get_loc("flight")] = "99999"
    day.iloc[:1, day.columns.get_loc("time_hour")] = "NA"
    day.to_csv(bad, index=False)
    assert run("check", "flight_delays", "flights", "--file", str(good)).exit_code == 0
    done = run("check", "flight_delays", "flights", "--file", str(bad), "--json")
    assert done.exit_code == 1, done.output
    (told,) = json.loads(done.output)
    assert (told["outcome"], told["rows_in"], told["rows_broken"]) == ("failed", len(day), 20)
    broken = {rule["name"]: rule["rows_failed"] for rule in told["rules"] if not rule["passed"]}
    assert (broken["flight.range"], broken["time_hour.required"]) == (20, 1)
    assert staging_tables() == []
    assert ask("SELECT count(*) FROM ledger.attempts UNION ALL SELECT count(*) FROM ledger.contract_checks") == [
        (0,), (0,),
    ]  # fmt: skip


def test_the_newest_check_is_read_from_the_ledger(
    module_database: Settings, flight_delays: UseCase, tmp_path: Path
) -> None:
    rows = real_rows()
    places = rows.index[rows["time_hour"].str.startswith(DAY)]
    rows.loc[places[:4], "flight"] = "99999"
    published(reading(flight_delays, rows, tmp_path / "flights.csv"), "2013-04-01..2013-04-03")
    page = tmp_path / "page.html"
    done = run("results", "flight_delays", "flights", DAY, "--output", str(page))
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert "passed, rows set aside" in text
    assert "flight.range" in text
    assert text.count("<rect x=") == 2  # up to the day that was asked for
    (told,) = [json.loads(run("results", "flight_delays", "flights", DAY, "--json").output)]
    assert (told["rows_in"], told["rows_kept"], told["rows_broken"]) == (981, 977, 4)


def test_a_partition_that_was_never_checked_is_an_error(module_database: Settings) -> None:
    done = run("results", "flight_delays", "flights", "2013-06-01")
    assert isinstance(done.exception, ContractError)
