"""Rows in quarantine: seen, fixed, released; and what a later run from the source makes of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from flight_sources import ask, reading, real_rows, staging_tables
from mlforge import stages
from mlforge.cli.main import build_app
from mlforge.errors import SourceError, TerminalError
from mlforge.ingest.fixes import fixed_rows, rows_as_they_are
from mlforge.ingest.quarantine import quarantine_counts, quarantined_rows, released_rows
from mlforge.ingest.releases import RowRelease
from mlforge.refs import PublishedPartition
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration
DAY = "2013-04-02"


def broken_rows(humid: tuple[str, ...] = ("150", "160")) -> pd.DataFrame:
    """Two rows of the day say a humidity that cannot be; the first came twice."""
    rows = real_rows("weather")
    places = rows.index[rows["time_hour"].str.startswith(DAY)][: len(humid)]
    rows.loc[places, "humid"] = humid
    return pd.concat([rows, rows.loc[places[:1]]], ignore_index=True)


def run_of(use_case: UseCase) -> stages.StageRun:
    return stages.StageRun(
        use_case=use_case, days=use_case.partitions(DAY), dataset="weather", who="ada", why="the sensor was wet"
    )


def publish(use_case: UseCase) -> PublishedPartition:
    run = run_of(use_case)
    return stages.publish(run, stages.check(run, stages.extract(run)))


def publications() -> list[tuple[Any, ...]]:
    return ask(
        "SELECT version, rows_in, rows_published, rows_quarantined, rows_duplicate FROM ledger.publications"
        " WHERE dataset = 'weather' AND partition_key = %s ORDER BY version",
        DAY,
    )


def humidities() -> list[float]:
    return [value for (value,) in ask("SELECT humid FROM warehouse.flight_delays__weather ORDER BY 1 DESC LIMIT 3")]


@pytest.fixture
def use_case(database: Settings, flight_delays: UseCase, tmp_path: Path) -> UseCase:
    """A day of weather with two broken rows has been published."""
    found = reading(flight_delays, broken_rows(), tmp_path / "weather.csv", "weather")
    publish(found)
    return found


def fix(use_case: UseCase, folder: Path, **values: Any) -> list[RowRelease]:
    """Write the quarantine to a file, fix it there, and return what the file asks for."""
    path = folder / "fixed.jsonl"
    rows = [{"row_id": row.row_id, **row.row, **values} for row in quarantined_rows(use_case, "weather", DAY)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return fixed_rows(use_case, "weather", DAY, path)


def test_the_quarantine_is_counted_by_rule_with_examples(use_case: UseCase) -> None:
    (version, rows_in, published, aside, copies) = publications()[0]
    assert (version, aside, copies, rows_in) == (1, 2, 1, published + 3)
    (count,) = quarantine_counts(use_case)
    assert (count.dataset, count.partition_key, count.rows) == ("weather", DAY, 2)
    assert set(count.examples[0]) == {"origin", "time_hour"}
    assert quarantine_counts(use_case, rule=count.rule) == [count]
    assert quarantine_counts(use_case, partition_key="2013-04-03") == []
    assert [row.row["humid"] for row in quarantined_rows(use_case, "weather", DAY)] == [150, 160]


def test_fixed_rows_are_published_and_every_copy_counts(use_case: UseCase, tmp_path: Path) -> None:
    done = stages.release_quarantined(run_of(use_case), fix(use_case, tmp_path, humid=99.5))
    first, second = publications()
    assert second == (2, first[1], first[2] + 2, 0, 1)
    assert (done.rows_quarantined, humidities()[:2]) == (0, [99.5, 99.5])
    assert quarantine_counts(use_case) == []
    assert staging_tables() == []
    assert ask("SELECT row->>'humid', fixed->>'humid', who, why FROM ledger.quarantine_releases ORDER BY 1") == [
        ("150", "99.5", "ada", "the sensor was wet"), ("160", "99.5", "ada", "the sensor was wet"),
    ]  # fmt: skip


def test_a_run_from_the_same_source_keeps_the_fix(use_case: UseCase, tmp_path: Path) -> None:
    stages.release_quarantined(run_of(use_case), fix(use_case, tmp_path, humid=99.5))
    assert publish(use_case).changed == 0
    assert humidities()[:2] == [99.5, 99.5]
    assert {row["state"] for row in released_rows(use_case)} == {"in use"}


def test_the_source_wins_where_it_has_changed_the_row(
    use_case: UseCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stages.release_quarantined(run_of(use_case), fix(use_case, tmp_path, humid=99.5))
    corrected = reading(use_case, broken_rows(("98", "160")), tmp_path / "corrected.csv", "weather")
    assert publish(corrected).changed == 1
    assert humidities()[:2] == [99.5, 98.0]
    assert "the source has changed a row that was released" in caplog.text
    assert sorted(row["state"] for row in released_rows(use_case)) == ["in use", "rests: the source changed the row"]


def test_a_fix_that_still_breaks_the_contract_releases_nothing(use_case: UseCase, tmp_path: Path) -> None:
    before = publications()
    with pytest.raises(TerminalError, match=r"2 rows cannot be published.*breaks "):
        stages.release_quarantined(run_of(use_case), fix(use_case, tmp_path, humid=140))
    assert publications() == before
    assert ask("SELECT count(*) FROM ledger.quarantine_releases") == [(0,)]
    assert staging_tables() == []


def test_a_waived_rule_publishes_rows_as_they_are_and_stays_waived(use_case: UseCase) -> None:
    (count,) = quarantine_counts(use_case)
    releases = rows_as_they_are(use_case, "weather", DAY, [count.rule])
    assert stages.release_quarantined(run_of(use_case), releases).rows_quarantined == 0
    assert humidities()[:2] == [160.0, 150.0]
    assert publications()[-1][3:] == (0, 1)
    assert publish(use_case).changed == 0
    assert ask("SELECT DISTINCT waived FROM ledger.quarantine_releases") == [([count.rule],)]


def test_a_key_that_comes_twice_cannot_be_waived(database: Settings, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows("weather")
    twin = rows[rows["time_hour"].str.startswith(DAY)].head(1).assign(visib="1.5")
    source = reading(flight_delays, pd.concat([rows, twin], ignore_index=True), tmp_path / "twins.csv", "weather")
    publish(source)
    rules = [count.rule for count in quarantine_counts(source)]
    with pytest.raises(TerminalError, match=r"1 rows cannot be published.*comes twice"):
        stages.release_quarantined(run_of(source), rows_as_they_are(source, "weather", DAY, rules))
    assert ask("SELECT count(*) FROM ledger.quarantine_releases") == [(0,)]
    assert publish(source).changed == 0


def test_what_cannot_be_meant_is_refused(use_case: UseCase, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="no row in quarantine breaks no_such_rule"):
        rows_as_they_are(use_case, "weather", DAY, ["no_such_rule"])
    (tmp_path / "other.csv").write_text("row_id,humid\n1,5\n", encoding="utf-8")
    with pytest.raises(SourceError, match="its columns are not the contract's: day, dewp"):
        fixed_rows(use_case, "weather", DAY, tmp_path / "other.csv")
    (tmp_path / "gone.csv").write_text("row_id,humid\n99,5\n", encoding="utf-8")
    with pytest.raises(TerminalError, match=r"1 rows are not in quarantine.*row_id 99"):
        fixed_rows(use_case, "weather", DAY, tmp_path / "gone.csv")
    (tmp_path / "broken.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match="cannot be read"):
        fixed_rows(use_case, "weather", DAY, tmp_path / "broken.jsonl")


def test_a_person_lists_shows_fixes_and_releases(
    database: Settings, flight_delays: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = reading(flight_delays, broken_rows(), tmp_path / "weather.csv", "weather")
    monkeypatch.setattr("mlforge.spec.load_use_case", lambda name: source)
    publish(source)

    def command(*words: str) -> str:
        done = CliRunner().invoke(build_app(), ["quarantine", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    listed = json.loads(command("list", "flight_delays", "--json"))
    assert (listed["rows"], listed["partition_key"]) == (2, DAY)
    file = tmp_path / "rows.csv"
    command("show", "flight_delays", "weather", DAY, "--format", "csv", "--file", str(file))
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    rows[0]["humid"] = "99"
    with file.open("w", encoding="utf-8") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerow(rows[0])
    assert "1 rows released" in command("release", "flight_delays", "weather", DAY, "--file", str(file))
    command("release", "flight_delays", "weather", DAY, "--as-is", "--rule", listed["rule"], "--why", "wet")
    assert publications()[-1][3:] == (0, 1)
    assert len(command("released", "flight_delays", "--json").splitlines()) == 2
