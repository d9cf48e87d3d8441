"""Verification: a release's server runs without traffic and must agree with the model offline."""

from __future__ import annotations

from mlforge.db import connect
from mlforge.errors import MLForgeError, ServingError
from mlforge.refs import Release
from mlforge.services.supervision import program_states, start_program, stop_program
from mlforge.serving.deployments import DeploymentRow, newest_row, newest_rows, record_state
from mlforge.serving.server import claim_port, is_free, program_name, server_program
from mlforge.serving.smoke import is_ready, smoke_requests, wait_until_ready
from mlforge.spec import UseCase


def verify_release(use_case: UseCase, release: Release, *, run_id: str | None = None) -> Release:
    """Start a release's server without traffic, compare its answers with offline scores, and return the release.

    A server that fails is stopped, and what is live stays live. A release that is live is only started again, if it
    does not answer.

    Args:
        use_case: The use case.
        release: Its release, packaged.
        run_id: Who does it, for the ledger.

    Raises:
        ServingError: The server does not start, does not answer, or scores differently; or a newer release is live.
        ServiceUnavailableError: The services are not running.
    """
    program_states()  # without supervisord nothing can be said about the release
    row = newest_row(release.release_id)
    if row and row.state == "live":
        if row.port is None or not is_ready(release.release_id, row.port):
            wait_until_ready(release.release_id, start_again(row))
        return release
    refuse_older(use_case, release)
    if row and row.state in {"starting", "verified"} and row.port and is_ready(release.release_id, row.port):
        port = row.port
    else:
        port = claim_port(release, run_id=run_id)
    try:
        start_program(server_program(release.release_id, port))
        wait_until_ready(release.release_id, port)
        answered = smoke_requests(use_case, release, port)
    except MLForgeError as error:
        stop_program(program_name(release.release_id))
        record_state(release, "failed", port=port, run_id=run_id, detail={"reason": error.what})
        if isinstance(error, ServingError):
            raise
        raise ServingError(
            f"the release cannot be verified: {error.what}",
            where=f"{use_case.name} release {release.release_id}",
            evidence=error.evidence,
            hint=error.hint,
        ) from error
    record_state(release, "verified", port=port, run_id=run_id, detail={"smoke_requests": answered})
    return release


def start_again(row: DeploymentRow) -> int:
    """Start the server of a live release if it does not run, and return its port: another one if its own was taken."""
    state = program_states().get(program_name(row.release_id))
    running = state is not None and state.state in {"RUNNING", "STARTING"}
    port = row.port if row.port and (running or is_free(row.port)) else claim_port(row, state="live")
    start_program(server_program(row.release_id, port))
    return port


def refuse_older(use_case: UseCase, release: Release) -> None:
    """Refuse a release that a newer one has overtaken.

    Raises:
        ServingError: A newer release is live.
    """
    with connect() as connection:
        rows = newest_rows(connection, states=("live",), use_case=use_case.name)
    newer = [row.release_id for row in rows if row.release_id > release.release_id]
    if newer:
        raise ServingError(
            f"release {newer[-1]} is live and newer than release {release.release_id}",
            where=use_case.name,
            hint="to go back, run `mlforge models rollback`: it makes a new release of the older model",
        )
