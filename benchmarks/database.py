"""A PostgreSQL of its own for benchmarks that need no other service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import free_port


@contextmanager
def database() -> Iterator[None]:
    """Run an empty, migrated installation's PostgreSQL; this process's settings are that installation's."""
    home = tempfile.mkdtemp(prefix="mlforge-bench-")
    Path(home).chmod(0o711)
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("MLFORGE_")}
    os.environ |= {"MLFORGE_HOME": home, "MLFORGE_POSTGRES_PORT": str(free_port())}
    from mlforge.db.migrate import migrate
    from mlforge.services import postgres
    from mlforge.settings import get_settings

    get_settings.cache_clear()
    settings, user = get_settings(), postgres.server_user()
    postgres.initialise(settings)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(
        postgres.server_command(settings),
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        **silent,
    )
    try:
        _create_databases()
        migrate()
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)
        del os.environ["MLFORGE_HOME"], os.environ["MLFORGE_POSTGRES_PORT"]
        os.environ |= before
        get_settings.cache_clear()


def _create_databases() -> None:
    """Create the databases as soon as the server answers."""
    import psycopg

    from mlforge.errors import ServiceUnavailableError
    from mlforge.services import postgres

    deadline = time.monotonic() + 30
    while True:
        try:
            postgres.create_databases()
            return
        except (psycopg.OperationalError, ServiceUnavailableError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
