"""Real flights as a training set of 25 columns, made at once from the data set's files.

The benchmark measures the training and not what comes before: the columns stand in for those that the feature views of
`flight_delays` give, with the same kinds of values: four categories, numbers with and without gaps, delays of the day
before.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

FEATURES = 25
ROUNDS = 100  # at most; boosting stops earlier where the loss stands still
_WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
_PLANES = {"year": "built", "type": "type", "manufacturer": "manufacturer", "engines": "engines", "seats": "seats"}
# Column → by what the delays of the day before are averaged.
_DELAYS = {
    "carrier_delays__mean_arr_delay": ["carrier"],
    "route_delays__mean_arr_delay": ["origin", "dest"],
    "origin_hour_delays__mean_arr_delay": ["origin", "hour"],
    "tail_delays__mean_arr_delay": ["tailnum"],
}


def benchmark_use_case(trials: int, seed: int) -> Any:
    """Return `flight_delays` with five folds of a week and a search of its own.

    Args:
        trials: Budget of the search.
        seed: Of its sampler; another one is another search.
    """
    from mlforge.spec import load_use_case
    from mlforge.spec.search import CrossValidation, Search

    use_case = load_use_case("flight_delays")
    training = use_case.training.model_copy(
        update={
            "parameters": {**use_case.training.parameters, "n_estimators": ROUNDS},
            "cross_validation": CrossValidation(folds=5, days=7),
            "search": Search(trials=trials, seed=seed),
            "minimum_rows": 1000,
        }
    )
    return use_case.model_copy(update={"training": training})


def store_examples(rows: int) -> Any:
    """Store a training set of the year's flights that arrived, evenly thinned to so many rows, and return its ref."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mlforge import storage
    from mlforge.refs import TrainingSet

    frame = _frame(rows)
    columns = [name for name in frame.columns if name not in ("event_timestamp", "known_at", "arr_delay")]
    if len(columns) != FEATURES:
        raise AssertionError(f"{len(columns)} columns, not {FEATURES}: {columns}")
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    uri, digest = storage.put_bytes("training-sets/flight_delays", buffer.getvalue(), ".parquet")
    return TrainingSet(
        use_case="flight_delays",
        partition_key="2013-12-30",
        uri=uri,
        rows=len(frame),
        content_hash=digest,
        code_version="benchmark",
        as_of=datetime(2013, 12, 31, tzinfo=UTC),
        feature_service="flight_delays",
        publications={},
    )


def _frame(rows: int) -> Any:
    import numpy as np
    import pandas as pd

    from mlforge.ingest.source import source_uri
    from mlforge.spec import load_use_case

    sources = {name: source_uri(each.source) for name, each in load_use_case("flight_delays").datasets.items()}
    flights = pd.read_csv(sources["flights"], parse_dates=["time_hour"])
    flights = flights[flights["arr_delay"].notna()]
    frame = _before(flights)
    weather = pd.read_csv(sources["weather"], parse_dates=["time_hour"])[["origin", "time_hour", *_WEATHER]]
    weather = weather.drop_duplicates(["origin", "time_hour"]).rename(columns={w: f"weather__{w}" for w in _WEATHER})
    planes = pd.read_csv(sources["planes"])[["tailnum", *_PLANES]]
    planes = planes.rename(columns={theirs: f"planes__{ours}" for theirs, ours in _PLANES.items()})
    frame = frame.merge(weather, on=["origin", "time_hour"], how="left").merge(planes, on="tailnum", how="left")
    moments = frame["time_hour"] + pd.to_timedelta(frame["minute"], unit="min")
    known = ["carrier", "origin", "dest", *(name for name in frame.columns if "__" in name), "arr_delay"]
    frame = frame[known].assign(
        sched_hour=frame["hour"],
        sched_minute=frame["minute"],
        weekday=moments.dt.tz_convert("America/New_York").dt.dayofweek.astype("int64"),
        route_delays__distance=frame["distance"],
        event_timestamp=moments,
        known_at=moments,
    )
    frame = frame.sort_values("event_timestamp", kind="stable")
    chosen = np.unique(np.linspace(0, len(frame) - 1, min(rows, len(frame))).astype(int))
    return frame.iloc[chosen].reset_index(drop=True)


def _before(flights: Any) -> Any:
    """Return the flights with the mean delays of the day before, by what `_DELAYS` names."""
    import pandas as pd

    day = flights["time_hour"].dt.floor("D")
    frame = flights.assign(day=day)
    for name, by in _DELAYS.items():
        means = frame.groupby([*by, "day"])["arr_delay"].mean().rename(name).reset_index()
        means["day"] += pd.Timedelta(days=1)
        frame = frame.merge(means, on=[*by, "day"], how="left")
    return frame
