"""Parts of the serving tests: a small model on disk, a training set, releases in the ledger, requests."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import yaml
from psycopg.types.json import Jsonb

from mlforge.db import connect
from mlforge.db.ledger import release
from mlforge.refs import Release, TrainingSet
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.storage import put_bytes

FEATURES: list[dict[str, Any]] = [
    {"name": "carrier", "kind": "category", "categories": ["UA", "AA", "B6"]},
    {"name": "origin", "kind": "category", "categories": ["EWR", "JFK", "LGA"]},
    {"name": "dest", "kind": "category", "categories": ["IAH", "MIA"]},
    {"name": "sched_hour", "kind": "number"},
    {"name": "weekday", "kind": "number"},
    {"name": "weather__wind_speed", "kind": "number"},
]
REQUEST = {
    "carrier": "UA",
    "flight": 1545,
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "scheduled_departure": "2013-04-02T00:15:00Z",
}


def model_uri(number: int) -> str:
    """Return the address of a test model."""
    return f"models:/m-{number:032x}"


def write_model(number: int, *, seed: int | None = None) -> Path:
    """Write a small model as MLflow's xgboost flavour lays it out, where `download_model` keeps what it has."""
    import xgboost

    generator = np.random.default_rng(number if seed is None else seed)
    matrix = generator.integers(0, 3, size=(400, len(FEATURES))).astype(np.float32)
    label = (matrix.sum(axis=1) + generator.normal(size=400) > 6).astype(float)
    data = xgboost.DMatrix(matrix, label=label)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, num_boost_round=20)
    folder = get_settings().home / "cache" / "models" / model_uri(number).removeprefix("models:/")
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.ubj")
    description = {
        "features": FEATURES,
        "calibration": {"method": "platt", "slope": 1.0, "intercept": 0.0},
        "labels": ["on_time", "late"],
    }
    (folder / "MLmodel").write_text(yaml.safe_dump({"metadata": {"mlforge": description}}), encoding="utf-8")
    return folder


def training_set(use_case: UseCase, rows: int = 30) -> TrainingSet:
    """Store a small training set and return its reference."""
    start = datetime(2013, 3, 30, 12, tzinfo=UTC)
    moments = [start + timedelta(minutes=30 * row) for row in range(rows)]
    columns = {
        "carrier": [("UA", "AA", "XX")[row % 3] for row in range(rows)],
        "flight": [100 + row for row in range(rows)],
        "tailnum": [None if row % 5 == 0 else f"N{row}" for row in range(rows)],
        "origin": [("EWR", "JFK", "LGA")[row % 3] for row in range(rows)],
        "dest": [("IAH", "MIA")[row % 2] for row in range(rows)],
        "scheduled_departure": moments,
        "sched_hour": [moment.hour for moment in moments],
        "weekday": [moment.weekday() for moment in moments],
        "weather__wind_speed": [None if row % 4 == 0 else float(row) for row in range(rows)],
        "event_timestamp": moments,
        "known_at": moments,
        "arr_delay": [float(row) for row in range(rows)],
    }
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    uri, digest = put_bytes(f"training_sets/{use_case.name}", buffer.getvalue(), ".parquet")
    return TrainingSet(
        use_case=use_case.name,
        partition_key="2013-03-31",
        uri=uri,
        rows=rows,
        content_hash=digest,
        code_version="test",
        as_of=datetime(2013, 4, 1, tzinfo=UTC),
        feature_service=use_case.feature_service,
        publications={},
    )


def add_release(use_case: UseCase, number: int, write: Callable[[int], Path] = write_model) -> Release:
    """Append a release of the test model with that number to the ledger."""
    folder = write(number)
    values = {
        "use_case": use_case.name,
        "number": number,
        "uri": model_uri(number),
        "hash": hashlib.sha256(next(folder.glob("model.*")).read_bytes()).hexdigest(),
        "bento": f"{use_case.name}:v{number}-r{number}",
        "service": use_case.feature_service,
        "training_set": Jsonb(training_set(use_case).dump()),
    }
    statement = """
        INSERT INTO ledger.releases (use_case, sequence, parent_id, kind, partition_key, model_name, model_version,
            model_uri, mlflow_run_id, content_hash, bento, feature_service, training_set, evidence, traffic_plan,
            code_version, who, why)
        SELECT %(use_case)s, %(number)s, max(release_id), 'promote', '2013-03-31', %(use_case)s, %(number)s, %(uri)s,
            'run', %(hash)s, %(bento)s, %(service)s, %(training_set)s, '{}', '{}', 'test', 'tester', 'a test'
        FROM ledger.releases WHERE use_case = %(use_case)s
        RETURNING release_id
    """
    with connect() as connection:
        row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return release(row[0])


@dataclass
class Caller:
    """Someone who asks the gateway."""

    key: str

    def predict(self, body: Any = REQUEST, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Ask for a prediction."""
        sent = {"x-api-key": self.key if key is None else key, **headers}
        sent = {name: value for name, value in sent.items() if value}
        content = body if isinstance(body, bytes) else None
        return httpx.post(
            f"{get_settings().gateway_url}/flight_delays/predict",
            content=content,
            json=None if content is not None else body,
            headers=sent,
            timeout=15,
            trust_env=False,
        )

    def get(self, path: str, *, with_key: bool = False) -> httpx.Response:
        """Read a page."""
        headers = {"x-api-key": self.key} if with_key else {}
        return httpx.get(f"{get_settings().gateway_url}{path}", headers=headers, timeout=15, trust_env=False)


def states(release_id: int) -> list[str]:
    """Return every state that the ledger has of a release, oldest first."""
    query = "SELECT state FROM ledger.deployments WHERE release_id = %(id)s ORDER BY deployment_id"
    with connect() as connection:
        return [state for (state,) in connection.execute(query, {"id": release_id}).fetchall()]
