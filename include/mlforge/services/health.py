"""Whether a service answers, not merely runs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable

from mlforge.errors import ServiceUnavailableError
from mlforge.services.layout import tail
from mlforge.services.programs import AIRFLOW
from mlforge.services.supervision import program_states
from mlforge.settings import Settings

_AIRFLOW_PARTS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}


def is_healthy(settings: Settings, name: str) -> bool:
    """Return whether a service does its work; release servers are asked by whoever started them."""
    if name == "postgres":
        return _postgres_answers()
    if name == "mlflow":
        return _get(settings.mlflow_host, settings.mlflow_port, "/health") is not None
    if name == "gateway":
        return _get("127.0.0.1", settings.gateway_admin_port, "/ready") is not None
    if name in AIRFLOW:
        return _airflow_part_is_healthy(settings, _AIRFLOW_PARTS.get(name, "metadatabase"))
    return True


def wait_until_healthy(
    settings: Settings, names: list[str], *, seconds: float, healthy: Callable[[str], None] = lambda name: None
) -> None:
    """Return as soon as every named service runs and answers.

    Args:
        settings: Where they are.
        names: Which ones.
        seconds: For all together.
        healthy: Called with each name, once, when it answers.

    Raises:
        ServiceUnavailableError: supervisord gave one up, or it does not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    waiting = list(names)
    while waiting:
        states = program_states()
        for name in list(waiting):
            state = states.get(name)
            if state is not None and state.running and is_healthy(settings, name):
                waiting.remove(name)
                healthy(name)
            elif state is None or state.state == "FATAL" or time.monotonic() > deadline:
                raise ServiceUnavailableError(
                    f"{name} does not answer" if state and state.running else f"{name} does not start",
                    evidence=tail(state.log, 5) if state else [],
                    hint=f"see `mlforge logs {name}`",
                )
        time.sleep(0.2 if waiting else 0)


def _postgres_answers() -> bool:
    from mlforge import db

    try:
        db.wait_until_ready("mlforge", seconds=0)
    except ServiceUnavailableError as error:
        # Before the databases are made it refuses this one by name: that is an answer.
        return "does not exist" in str(error)
    return True


def _airflow_part_is_healthy(settings: Settings, part: str) -> bool:
    body = _get(settings.airflow_host, settings.airflow_port, "/api/v2/monitor/health")
    if body is None:
        return False
    try:
        return bool(json.loads(body)[part]["status"] == "healthy")
    except (ValueError, KeyError, TypeError):
        return False


def _get(host: str, port: int, path: str) -> bytes | None:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
