"""The gateway follows the ledger: its files are rendered from the deployments that are there, and it is waited for."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import yaml

from mlforge.db import connect, lock_partition
from mlforge.errors import ServiceUnavailableError
from mlforge.services.gateway import gateway_directory, write_yaml
from mlforge.services.layout import private_directory
from mlforge.serving.deployments import DeploymentRow, newest_rows
from mlforge.serving.envoy import Backend, cluster, listener, routes
from mlforge.serving.key_ring import key_set, revoked_ids
from mlforge.settings import get_settings

WAIT_SECONDS = 15.0
_STATISTICS = {
    "cds.yaml": "cluster_manager.cds.version_text",
    "rds.yaml": "http.gateway.rds.releases.version_text",
    "lds.yaml": "listener_manager.lds.version_text",
}


def refresh_gateway(*, wait: bool = True) -> None:
    """Render the gateway's files from the ledger.

    Args:
        wait: Whether to return only when Envoy has taken them.

    Raises:
        ServiceUnavailableError: Envoy does not take them in time.
    """
    with connect() as connection:
        publish_routes(connection, wait=wait)


def publish_routes(connection: psycopg.Connection[Any], *, wait: bool = True) -> None:
    """Render the gateway's files from the ledger as the open transaction sees it; others wait until it ends.

    Clusters come before the routes that name them and go after them, so that no request meets a gap.

    Raises:
        ServiceUnavailableError: Envoy does not take them in time.
    """
    lock_partition(connection, "serving", "gateway")
    rows = newest_rows(connection, states=("live", "draining"))
    backends = backends_of(rows)
    settings = get_settings()
    folder = private_directory(gateway_directory(settings))
    table = routes(backends, revoked_ids(connection))
    needed = [cluster(backend) for backend in backends]
    # Envoy keeps an unchanged resource as it is: writing the same listener again disturbs no connection.
    front = listener(settings.host, settings.gateway_port, folder, json.dumps(key_set()))
    known = {entry["name"]: entry for entry in _resources(folder / "cds.yaml")}
    both = {**known, **{entry["name"]: entry for entry in needed}}
    for name, resources in (
        ("cds.yaml", list(both.values())),
        ("rds.yaml", [table]),
        ("lds.yaml", [front]),
        ("cds.yaml", needed),
    ):
        version = _write(folder / name, resources)
        if wait:
            wait_for_gateway(name, version, seconds=WAIT_SECONDS)


def backends_of(rows: Sequence[DeploymentRow]) -> list[Backend]:
    """Return the servers behind the gateway: all requests of a use case go to its newest live release."""
    newest = {row.use_case: row.deployment_id for row in rows if row.state == "live"}
    host = get_settings().serving_host
    return [
        Backend(
            row.use_case, row.release_id, host, row.port, 100 if newest.get(row.use_case) == row.deployment_id else 0
        )
        for row in rows
        if row.port is not None
    ]


def _resources(path: Path) -> list[dict[str, Any]]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return []
    return list(document.get("resources") or []) if isinstance(document, dict) else []


def _write(path: Path, resources: list[dict[str, Any]]) -> str:
    """Write resources unless they stand there already, and return their version."""
    text = json.dumps(resources, sort_keys=True)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    document = {"version_info": version, "resources": json.loads(text)}
    try:
        if yaml.safe_load(path.read_text(encoding="utf-8")) == document:
            return version
    except (OSError, yaml.YAMLError):
        pass
    write_yaml(path, document)
    return version


def wait_for_gateway(name: str, version: str, *, seconds: float) -> None:
    """Return when Envoy works with that version of a file.

    Raises:
        ServiceUnavailableError: It does not answer, or does not take the version in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = gateway_versions()
        if seen.get(_STATISTICS[name]) == version:
            return
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                "the gateway does not answer" if not seen else f"the gateway does not take {name}",
                where=f"port {get_settings().gateway_admin_port}",
                hint="see `mlforge logs gateway`",
            )
        time.sleep(0.02)


def gateway_versions() -> dict[str, str]:
    """Return which version of each file Envoy works with; empty if it does not answer."""
    return _statistics("version_text$")


def active_requests(release_id: int) -> int:
    """Return how many requests a release's server is answering behind the gateway."""
    name = f"cluster.release_{release_id}.upstream_rq_active"
    return int(_statistics(f"^{name}$").get(name, "0"))


def _statistics(pattern: str) -> dict[str, str]:
    import httpx

    url = f"http://{get_settings().gateway_host}:{get_settings().gateway_admin_port}/stats"
    try:
        answer = httpx.get(url, params={"filter": pattern}, timeout=2, trust_env=False)
    except httpx.HTTPError:
        return {}
    pairs = (line.split(": ", 1) for line in answer.text.splitlines() if ": " in line)
    return {name: value.strip().strip('"') for name, value in pairs}
