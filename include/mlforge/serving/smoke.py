"""Requests to a server that has no traffic yet: does it answer, and does it score as the model does offline?"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlforge.db import connect
from mlforge.db.ledger import release_training_set
from mlforge.errors import ServingError
from mlforge.models import load_model
from mlforge.refs import Release
from mlforge.services.layout import log_path, tail
from mlforge.services.supervision import program_states
from mlforge.serving.predictor import SMOKE_KEY
from mlforge.serving.server import program_name, server_url
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.storage import read_bytes

READY_SECONDS = 240.0
WHOLE_REQUESTS = 3
_ANSWER_SECONDS = 30


def wait_until_ready(release_id: int, port: int, *, seconds: float = READY_SECONDS) -> None:
    """Return when a release's server can answer.

    Raises:
        ServingError: It died, or does not get ready in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    name = program_name(release_id)
    while not is_ready(release_id, port):
        state = program_states().get(name)
        if state is None or state.state in {"FATAL", "EXITED", "STOPPED"} or time.monotonic() > deadline:
            raise ServingError(
                "the server does not get ready",
                where=f"release {release_id}, port {port}",
                evidence=tail(log_path(get_settings(), name), 4),
                hint=f"see `mlforge logs {name}`",
            )
        time.sleep(0.1)


def is_ready(release_id: int, port: int) -> bool:
    """Return whether that release, and no other, can answer on a port."""
    import httpx

    try:
        with httpx.Client(base_url=server_url(port), timeout=5, trust_env=False) as client:
            return bool(
                client.get("/readyz").status_code == 200 and client.get("/info").json()["release"] == release_id
            )
    except (httpx.HTTPError, ValueError, KeyError):
        return False


def smoke_requests(use_case: UseCase, release: Release, port: int) -> int:
    """Send real rows of the training set to a server and return how many agreed with offline scores.

    Raises:
        ServingError: A score differs, or a request is not answered.
    """
    import httpx

    rows = newest_rows_of_training_set(release, use_case.rollout.smoke_requests)
    where = f"{use_case.name} release {release.release_id}"
    try:
        with httpx.Client(base_url=server_url(port), timeout=_ANSWER_SECONDS, trust_env=False) as client:
            _compare_scores(client, use_case, release, rows, where)
            _whole_requests(client, use_case, rows[-WHOLE_REQUESTS:], where)
    except httpx.HTTPError as error:
        raise ServingError(f"the server does not answer: {type(error).__name__}", where=where) from error
    finally:
        _remove_receipts(release.release_id)
    return len(rows)


def newest_rows_of_training_set(release: Release, count: int) -> list[dict[str, Any]]:
    """Return the newest rows that a release's model was tested on."""
    import pyarrow.parquet as parquet

    training_set = release_training_set(release.release_id)
    content = read_bytes(training_set.uri, content_hash=training_set.content_hash)
    table = parquet.read_table(io.BytesIO(content))
    rows: list[dict[str, Any]] = table.slice(max(0, table.num_rows - count)).to_pylist()
    return rows


def _compare_scores(
    client: Any, use_case: UseCase, release: Release, rows: Sequence[dict[str, Any]], where: str
) -> None:
    model = load_model(use_case, release.uri)
    columns = {name: [_json_value(row.get(name)) for row in rows] for name in model.feature_names}
    answer = client.post("/score", json={"columns": columns})
    if answer.status_code != 200:
        raise ServingError(f"the server answers {answer.status_code}", where=where, evidence=[answer.text[:200]])
    served = answer.json()["scores"]
    offline = [float(score) for score in model.score(columns)]
    tolerance = use_case.rollout.score_tolerance
    wrong = [(a, b) for a, b in zip(served, offline, strict=True) if not abs(a - b) <= tolerance]
    if wrong:
        raise ServingError(
            f"{len(wrong)} of {len(rows)} scores differ from the offline ones by more than {tolerance:g}",
            where=where,
            evidence=[f"served {a:.9f}, offline {b:.9f}" for a, b in wrong],
            hint="the bento does not hold the model that was trained; package it again",
        )


def _whole_requests(client: Any, use_case: UseCase, rows: Sequence[Mapping[str, Any]], where: str) -> None:
    for row in rows:
        body = {name: _json_value(row.get(name)) for name in use_case.prediction.request}
        body = {name: value for name, value in body.items() if value is not None}
        answer = client.post("/predict", json=body, headers={"x-mlforge-key": SMOKE_KEY})
        if answer.status_code != 200:
            raise ServingError(
                f"a request is answered {answer.status_code}",
                where=where,
                evidence=[answer.text[:200], str(body)],
                hint="see the server's log",
            )


def _remove_receipts(release_id: int) -> None:
    """Smoke requests are no predictions that anyone asked for: monitoring must not count them."""
    with connect() as connection:
        connection.execute(
            "DELETE FROM ledger.predictions WHERE release_id = %(release_id)s AND key_name = %(key_name)s",
            {"release_id": release_id, "key_name": SMOKE_KEY},
        )


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, float) and value != value:
        return None
    return value
