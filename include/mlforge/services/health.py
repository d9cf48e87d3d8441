"""Whether a service answers, not merely runs."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from mlforge.errors import ServiceUnavailableError
from mlforge.services.layout import tail
from mlforge.services.programs import AIRFLOW
from mlforge.services.supervision import State, program_states
from mlforge.settings import Settings

_AIRFLOW_PARTS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}


def is_healthy(settings: Settings, name: str, *, uptime_seconds: float = 0) -> bool:
    """Return whether a service does its work; release servers are asked by whoever started them.

    Args:
        settings: Where it is.
        name: Which one.
        uptime_seconds: How long its process has been up: a heartbeat from before that is another process's.
    """
    if name == "postgres":
        return _postgres_answers()
    if name == "mlflow":
        return _get(settings.mlflow_host, settings.mlflow_port, "/health") is not None
    if name == "gateway":
        return _get("127.0.0.1", settings.gateway_admin_port, "/ready") is not None
    if name in AIRFLOW:
        return _airflow_part_is_healthy(settings, _AIRFLOW_PARTS.get(name, "metadatabase"), uptime_seconds)
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
            if state is not None and state.running and _answers(settings, state):
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


def _answers(settings: Settings, state: State) -> bool:
    return is_healthy(settings, state.name, uptime_seconds=state.uptime_seconds)


def _airflow_part_is_healthy(settings: Settings, part: str, uptime_seconds: float) -> bool:
    body = _get(settings.airflow_host, settings.airflow_port, "/api/v2/monitor/health")
    if body is None:
        return False
    try:
        answer = json.loads(body)[part]
        if answer["status"] != "healthy":
            return False
        heartbeat = answer.get(f"latest_{part}_heartbeat")
        return heartbeat is None or not uptime_seconds or _age_seconds(heartbeat) < uptime_seconds
    except (ValueError, KeyError, TypeError):
        return False


def _age_seconds(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


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
