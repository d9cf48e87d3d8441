"""The MLflow that benchmarks log to."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from figures import free_port


@contextmanager
def tracking_server() -> Iterator[None]:
    """Run the installation's MLflow, as `mlforge up` does, beside the database that runs already."""
    from mlforge.services.environment import create_secrets
    from mlforge.services.layout import private_directory, run_directory
    from mlforge.services.programs import exec_command
    from mlforge.settings import get_settings
    from mlforge.tracking import configure_tracking, tracking_reachable

    os.environ["MLFORGE_MLFLOW_PORT"] = str(free_port())
    get_settings.cache_clear()
    create_secrets(get_settings())
    log = private_directory(run_directory(get_settings())) / "mlflow.log"
    with log.open("wb") as output:
        server = subprocess.Popen(exec_command("mlflow"), stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not tracking_reachable():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MLflow did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        configure_tracking()
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)
        del os.environ["MLFORGE_MLFLOW_PORT"]
