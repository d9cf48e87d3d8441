"""The server of a release: one BentoML process with one worker, on a loopback port of its own."""

from __future__ import annotations

import socket
import sys

from mlforge.db import connect, lock_partition
from mlforge.db.ledger import release as ledger_release
from mlforge.errors import ServingError
from mlforge.refs import Release
from mlforge.services.supervision import Program
from mlforge.serving.bento import SERVICE, bento_is_built, bento_path, bentoml_home, quiet_environment
from mlforge.serving.deployments import DeploymentRow, State, newest_rows, record_state
from mlforge.settings import get_settings

# Longer than the gateway keeps an idle connection: whoever closes first must be the one that sends.
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 10


def server_process(release_id: int, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command of a release's server and what its environment needs besides.

    Args:
        release_id: Its release.
        port: TCP port to listen on.

    Raises:
        ServingError: The release was not packaged.
        PromotionError: There is no such release.
    """
    settings = get_settings()
    release = ledger_release(release_id)
    if not bento_is_built(release.bento):
        raise ServingError(
            f"the bento {release.bento} does not exist",
            where=f"release {release_id}",
            hint=f"run `mlforge stage package --use-case {release.use_case}`",
        )
    metrics = settings.home / "run" / "metrics" / program_name(release_id)
    metrics.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE]
    command += ["--working-dir", str(bento_path(release.bento) / "src")]
    command += ["--host", settings.host, "--port", str(port), "--api-workers", "1"]
    command += ["--timeout-keep-alive", str(KEEP_ALIVE_SECONDS), "--timeout-graceful-shutdown", str(SHUTDOWN_SECONDS)]
    environment = {
        **quiet_environment(),
        "BENTOML_HOME": str(bentoml_home()),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "MALLOC_ARENA_MAX": "2",
        "MLFORGE_HOME": str(settings.home),
        "MLFORGE_ROOT": str(settings.root),
        "MLFORGE_RELEASE_ID": str(release_id),
    }
    return command, environment


def program_name(release_id: int) -> str:
    """Return the name of a release's server among the services."""
    return f"release-{release_id}"


def server_program(release_id: int, port: int) -> Program:
    """Return the server of a release as a program; it reads secrets itself, so none is in its description."""
    settings = get_settings()
    command = [sys.executable, "-m", "mlforge.cli.main", "service", "exec", "release"]
    return Program(
        name=program_name(release_id),
        command=[*command, "--release-id", str(release_id), "--port", str(port)],
        environment={"MLFORGE_ROOT": str(settings.root), "MLFORGE_HOME": str(settings.home)},
        stop_wait_seconds=SHUTDOWN_SECONDS + 5,
        priority=600,
    )


def server_url(port: int) -> str:
    """Return the address of a release's server, as its neighbours reach it."""
    return f"http://{get_settings().serving_host}:{port}"


def claim_port(release: Release | DeploymentRow, *, state: State = "starting", run_id: str | None = None) -> int:
    """Return a port for a release's server and write it down, so that no other release takes it.

    Args:
        release: The release.
        state: What the ledger says of it together with the port.
        run_id: Who asks.

    Raises:
        ServingError: Every port of the range is taken.
    """
    first, last = (int(end) for end in get_settings().serving_ports.split("-"))
    with connect() as connection:
        lock_partition(connection, "serving", "ports")
        claimed = {row.port for row in newest_rows(connection) if row.release_id != release.release_id}
        for port in range(first, last + 1):
            if port not in claimed and is_free(port):
                record_state(release, state, port=port, run_id=run_id, connection=connection)
                return port
    raise ServingError(
        f"every port of {first}-{last} is taken",
        where=f"release {release.release_id}",
        hint="set MLFORGE_SERVING_PORTS to a free range",
    )


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((get_settings().host, port))
        except OSError:
            return False
    return True
