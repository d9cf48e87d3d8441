"""An MLflow server of tests, with its files where a test can reach them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlforge.settings import Settings
from mlforge.tracking import USER, configure_tracking, tracking_reachable
from processes import stop_with_parent


def artifact_folder(installation: Settings) -> Path:
    """Return the folder in which the server keeps files."""
    return installation.home / "mlflow-server" / "artifacts"


@contextmanager
def running_mlflow(installation: Settings) -> Iterator[Settings]:
    """Run an MLflow with basic auth and let this process's MLflow point at it."""
    home = installation.home / "mlflow-server"
    home.mkdir()
    config = home / "auth.ini"
    config.write_text(
        "[mlflow]\n"
        "default_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{home}/auth.db\n"
        f"admin_username = {USER}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n",
        encoding="utf-8",
    )
    process = _start(installation, home)
    try:
        _wait(process, home)
        configure_tracking()
        yield installation
    finally:
        process.terminate()
        process.wait(timeout=30)


def _start(installation: Settings, home: os.PathLike[str]) -> subprocess.Popen[bytes]:
    address = f"{installation.mlflow_host}:{installation.mlflow_port}"
    environment = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": f"{home}/auth.ini",
        "MLFLOW_AUTH_ADMIN_PASSWORD": installation.secret("mlflow_password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": installation.secret("mlflow_secret_key"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with open(f"{home}/log", "wb") as log:  # noqa: PTH123
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
                *("--host", installation.mlflow_host, "--port", str(installation.mlflow_port)),
                *("--allowed-hosts", f"{address},localhost:{installation.mlflow_port}"),
                *(
                    "--backend-store-uri",
                    f"sqlite:///{home}/mlflow.db",
                    "--artifacts-destination",
                    str(artifact_folder(installation)),
                ),
            ],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=home,
            start_new_session=True,
            preexec_fn=stop_with_parent,
        )


def _wait(process: subprocess.Popen[bytes], home: os.PathLike[str], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not tracking_reachable():
        if process.poll() is not None or time.monotonic() > deadline:
            log = open(f"{home}/log", encoding="utf-8").read()  # noqa: PTH123, SIM115
            pytest.fail(f"MLflow did not start: {log[-2000:]}")
        time.sleep(0.2)
