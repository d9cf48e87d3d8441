"""Fixtures that every kind of test shares: an installation of its own, with a real PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from airflow_home import use_airflow_home
from installations import new_installation
from mlflow_server import running_mlflow
from mlforge import db
from mlforge.db.migrate import migrate
from mlforge.services import postgres
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case
from processes import die_with_parent

use_airflow_home()

# A machine that others use too is slow at times; that is no fault of the code.
hypothesis.settings.register_profile("mlforge", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("mlforge")

_ORDER = ("unit", "dags", "integration", "faults", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run quick tests first, the whole product last, and at the end a browser, whose clicks change what others see."""
    folder = Path(__file__).parent
    items.sort(
        key=lambda item: (
            _ORDER.index(item.path.relative_to(folder).parts[0]),
            item.path.name == "test_browser.py",
        )
    )


@pytest.fixture(scope="session")
def installation() -> Iterator[Settings]:
    """An empty installation below /tmp; its settings are this process's settings."""
    with new_installation() as settings:
        yield settings


@pytest.fixture(scope="session")
def postgres_server(installation: Settings) -> Iterator[Settings]:
    """A running PostgreSQL with a migrated database `mlforge_template`."""
    postgres.initialise(installation)
    user = postgres.server_user()
    process = subprocess.Popen(
        postgres.server_command(installation),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        preexec_fn=die_with_parent,
    )
    try:
        _wait_for_server(installation)
        postgres.create_databases()
        migrate()
        _administrate("ALTER DATABASE mlforge RENAME TO mlforge_template")
        _administrate("CREATE DATABASE mlforge TEMPLATE mlforge_template")
        yield installation
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


@pytest.fixture
def database(postgres_server: Settings) -> Settings:
    """A database `mlforge` that is migrated and empty, new for each test."""
    _renew_database()
    return postgres_server


@pytest.fixture(scope="module")
def module_database(postgres_server: Settings) -> Settings:
    """A database `mlforge` that the tests of one module share."""
    _renew_database()
    return postgres_server


@pytest.fixture(scope="session")
def mlflow_server(installation: Settings) -> Iterator[Settings]:
    """A running MLflow with basic auth, one for all tests; this process's MLflow points at it."""
    with running_mlflow(installation) as settings:
        yield settings


@pytest.fixture
def flight_delays() -> UseCase:
    """The shipped use case."""
    return load_use_case("flight_delays")


def _renew_database() -> None:
    _administrate("DROP DATABASE IF EXISTS mlforge WITH (FORCE)")
    _administrate("CREATE DATABASE mlforge TEMPLATE mlforge_template")


def _wait_for_server(installation: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "postgres_url", _postgres_database_url)
        db.wait_until_ready()


def _postgres_database_url(settings: Settings, database: str = "postgres", *, driver: str = "") -> str:
    return f"postgresql://mlforge:{settings.secret('postgres_password')}@127.0.0.1:{settings.postgres_port}/postgres"


def _administrate(statement: str) -> None:
    url = _postgres_database_url(get_settings())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement))
