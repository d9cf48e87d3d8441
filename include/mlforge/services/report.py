"""What runs now, with its memory and addresses."""

from __future__ import annotations

from typing import Any

from mlforge.errors import ServiceUnavailableError
from mlforge.services import programs
from mlforge.services.processes import listening_addresses, memory_bytes, own_memory_bytes, uptime_seconds
from mlforge.services.supervision import State, program_states
from mlforge.services.supervisord import supervisord_pid
from mlforge.settings import get_settings


def service_rows() -> list[dict[str, Any]]:
    """Return one row per service, supervisord first; memory in bytes (PSS, children included), time in seconds."""
    settings = get_settings()
    parent = supervisord_pid(settings)
    try:
        states = program_states()
    except ServiceUnavailableError:
        states = {}
    order = programs.names(settings)
    order += sorted(set(states) - set(order))
    return [_supervisord(parent), *(_row(name, states.get(name)) for name in order)]


def _row(name: str, state: State | None) -> dict[str, Any]:
    pid = state.pid if state else None
    return {
        "name": name,
        "state": state.state if state else "STOPPED",
        "pid": pid,
        "uptime_seconds": state.uptime_seconds if state else 0.0,
        "memory_bytes": memory_bytes(pid) if pid else 0,
        "listens": listening_addresses(pid) if pid else [],
        "log": str(state.log) if state else None,
    }


def _supervisord(pid: int | None) -> dict[str, Any]:
    return {
        "name": "supervisord",
        "state": "RUNNING" if pid else "STOPPED",
        "pid": pid,
        "uptime_seconds": uptime_seconds(pid) if pid else 0.0,
        "memory_bytes": own_memory_bytes(pid) if pid else 0,
        "listens": [],
        "log": None,
    }
