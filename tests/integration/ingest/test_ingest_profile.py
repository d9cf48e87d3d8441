"""Profiles are what pandas finds, kept with each publication."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from flight_sources import ask, published, reading, real_rows
from mlforge import db
from mlforge.ingest.profile import read_profiles, record_profiles
from mlforge.ingest.profile_columns import QUANTILES, TOP
from mlforge.ingest.profile_page import profile_page
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case

pytestmark = pytest.mark.integration
DAYS = "2013-04-01..2013-04-03"


@pytest.fixture(scope="module")
def weather(module_database: Settings) -> pd.DataFrame:
    published(load_use_case("flight_delays"), DAYS, "weather")
    with db.connect() as connection:
        cursor = connection.execute("SELECT * FROM warehouse.flight_delays__weather")
        return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or []])


def test_every_publication_has_its_profile(weather: pd.DataFrame) -> None:
    query = (
        "SELECT count(*) FROM ledger.publications AS p JOIN ledger.profiles AS q"
        " ON q.publication_id = p.publication_id AND q.rows = p.rows_published"
    )
    assert ask(query) == [(3,)]


def test_numbers_are_those_that_pandas_finds(weather: pd.DataFrame, flight_delays: UseCase) -> None:
    for profile in read_profiles(flight_delays, "weather"):
        rows = weather[weather["partition_key"] == profile.partition_key]
        assert profile.rows == len(rows)
        for name in ("temp", "wind_gust", "pressure", "hour"):
            values = rows[name].dropna().astype(float)
            found = profile.columns[name]
            assert (found["count"], found["nulls"]) == (len(values), int(rows[name].isna().sum()))
            assert found["distinct"] == values.nunique()
            if len(values):
                assert found["mean"] == pytest.approx(values.mean())
                assert found["std"] == pytest.approx(values.std(ddof=0))
                assert (found["min"], found["max"]) == (values.min(), values.max())
                spread = values.max() - values.min()
                for quantile, value in zip(QUANTILES, found["quantiles"], strict=True):
                    assert abs(value - values.quantile(quantile)) <= 0.15 * spread + 1e-9


def test_the_most_frequent_values_come_with_their_counts(weather: pd.DataFrame, flight_delays: UseCase) -> None:
    for profile in read_profiles(flight_delays, "weather"):
        rows = weather[weather["partition_key"] == profile.partition_key]
        counts = rows["origin"].value_counts()
        assert dict(profile.columns["origin"]["top"]) == counts.to_dict()
        assert (profile.columns["origin"]["min"], profile.columns["origin"]["max"]) == ("EWR", "LGA")
        assert len(profile.columns["temp"]["top"]) <= TOP
        assert profile.columns["temp"]["top"][0][1] == rows["temp"].value_counts().max()


def test_what_is_missing_is_made_and_what_is_there_is_left_alone(weather: pd.DataFrame, flight_delays: UseCase) -> None:
    assert record_profiles(flight_delays, "weather") == 0
    before = read_profiles(flight_delays, "weather")
    with db.connect() as connection:
        connection.execute("TRUNCATE ledger.profiles")
    assert read_profiles(flight_delays, "weather") == before


def test_personal_columns_show_no_value(weather: pd.DataFrame, flight_delays: UseCase) -> None:
    contract = flight_delays.contract("weather")
    columns = tuple(
        dataclasses.replace(column, classification="restricted") if column.name in ("origin", "temp") else column
        for column in contract.columns
    )
    secret = dataclasses.replace(contract, columns=columns)
    flight_delays = flight_delays.model_copy()
    flight_delays._contracts = {**flight_delays._contracts, "weather": secret}
    with db.connect() as connection:
        connection.execute("TRUNCATE ledger.profiles")
    for profile in read_profiles(flight_delays, "weather"):
        assert set(profile.columns["origin"]) == set(profile.columns["temp"]) == {"count", "nulls", "distinct"}
        assert "top" in profile.columns["dewp"]
    page = profile_page(flight_delays, "weather", read_profiles(flight_delays, "weather"))
    assert "EWR" not in page
    with db.connect() as connection:
        connection.execute("TRUNCATE ledger.profiles")


def test_the_page_is_closed_and_escapes_what_it_shows(weather: pd.DataFrame, flight_delays: UseCase) -> None:
    profiles = read_profiles(flight_delays, "weather")
    profiles[0].columns["origin"]["top"] = [["<script>alert(1)</script>", 9]]
    page = profile_page(flight_delays, "weather", profiles)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page.replace('http-equiv="', "")
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_a_correction_is_profiled_anew(weather: pd.DataFrame, flight_delays: UseCase, tmp_path: Path) -> None:
    rows = real_rows("weather")
    rows.loc[rows.index[rows["time_hour"].str.startswith("2013-04-02")][0], "visib"] = "0"
    published(reading(flight_delays, rows, tmp_path / "b.csv", "weather"), DAYS, "weather")
    assert [(each.partition_key, each.version) for each in read_profiles(flight_delays, "weather")] == [
        ("2013-04-01", 1), ("2013-04-02", 2), ("2013-04-03", 1),
    ]  # fmt: skip
    assert ask("SELECT count(*) FROM ledger.profiles") == [(4,)]
