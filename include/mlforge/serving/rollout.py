"""Roll-out: traffic moves to a verified release, and the older release's server is drained and stopped.

The switch is one transaction: the ledger says `live` only when the gateway works with the new routes. Killed before
that, the ledger still names the old release, whose server still runs; every step can be run again.
"""

from __future__ import annotations

import time

from mlforge.db import connect, lock_partition
from mlforge.errors import MLForgeError, ServingError
from mlforge.refs import Deployment, Release
from mlforge.services.supervision import stop_program
from mlforge.serving.deployments import DeploymentRow, newest_row, newest_rows, record_state
from mlforge.serving.gateway import active_requests, publish_routes, refresh_gateway
from mlforge.serving.server import program_name
from mlforge.serving.smoke import is_ready, wait_until_ready
from mlforge.serving.verify import refuse_older, start_again, verify_release
from mlforge.settings import get_settings
from mlforge.spec import UseCase, load_use_case

LONGEST_REQUEST_SECONDS = 10.0


def roll_out_release(use_case: UseCase, release: Release, *, run_id: str | None = None) -> Deployment:
    """Move all traffic of a use case to a release and return the deployment; what is live already stays as it is.

    Args:
        use_case: The use case.
        release: Its release; verified first if it was not.
        run_id: Who does it, for the ledger.

    Raises:
        ServingError: The release fails its verification, or a newer one is live.
        ServiceUnavailableError: The services are not running, or the gateway does not take the routes.
    """
    row = newest_row(release.release_id)
    if not (row and row.port and row.state == "verified" and is_ready(release.release_id, row.port)):
        verify_release(use_case, release, run_id=run_id)
    live = _switch(use_case, release, run_id)
    drain_releases(use_case, run_id=run_id)
    return Deployment(
        use_case=use_case.name,
        partition_key=release.partition_key,
        uri=f"{get_settings().gateway_url}/{use_case.name}/predict",
        rows=release.rows,
        content_hash=release.content_hash,
        code_version=release.code_version,
        release_id=release.release_id,
        deployment_id=live.deployment_id,
        port=live.port or 0,
        smoke_requests=int(live.detail.get("smoke_requests", 0)),
    )


def _switch(use_case: UseCase, release: Release, run_id: str | None) -> DeploymentRow:
    """Make a release the live one, in the gateway and in the ledger."""
    refuse_older(use_case, release)
    verified = newest_row(release.release_id)
    if verified is None or verified.state not in {"verified", "live"}:
        raise ServingError("the release was not verified", where=f"{use_case.name} release {release.release_id}")
    try:
        with connect() as connection:
            lock_partition(connection, "serving", "rollout", use_case.name)
            if verified.state == "verified":
                record_state(
                    release, "live", port=verified.port, detail=verified.detail, run_id=run_id, connection=connection
                )
            for row in newest_rows(connection, states=("starting", "verified", "live"), use_case=use_case.name):
                if row.release_id < release.release_id:
                    record_state(row, "draining", port=row.port, run_id=run_id, connection=connection)
            publish_routes(connection)
    except MLForgeError:
        # The transaction is gone, and the ledger names the old release: the gateway must follow it.
        refresh_gateway(wait=False)
        raise
    live = newest_row(release.release_id)
    if live is None:
        raise ServingError("the ledger lost the deployment", where=use_case.name)
    return live


def drain_releases(use_case: UseCase, *, run_id: str | None = None) -> list[int]:
    """Let servers without traffic finish what they have begun, stop them, and return their releases."""
    with connect() as connection:
        rows = newest_rows(connection, states=("draining",), use_case=use_case.name)
    if not rows:
        return []
    time.sleep(use_case.rollout.drain_seconds)
    for row in rows:
        deadline = time.monotonic() + LONGEST_REQUEST_SECONDS
        while active_requests(row.release_id) and time.monotonic() < deadline:
            time.sleep(0.05)
        stop_program(program_name(row.release_id))
        record_state(row, "stopped", run_id=run_id)
    refresh_gateway()
    return [row.release_id for row in rows]


def restore_deployments() -> list[int]:
    """Start the servers of live releases that do not run, as after a restart of the machine; return their releases.

    The ledger says what should run. Roll-outs that were interrupted while they drained are finished.

    Raises:
        ServingError: A server does not get ready.
        ServiceUnavailableError: The services are not running.
    """
    with connect() as connection:
        live = newest_rows(connection, states=("live",))
        draining = newest_rows(connection, states=("draining",))
    started = [(row, start_again(row)) for row in live]
    refresh_gateway(wait=False)
    for name in sorted({row.use_case for row in draining}):
        drain_releases(load_use_case(name))
    for row, port in started:
        wait_until_ready(row.release_id, port)
    return [row.release_id for row, _ in started]
