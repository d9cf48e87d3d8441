"""Connections to the project's own database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from mlforge.errors import ServiceUnavailableError
from mlforge.settings import Database, get_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

_OPTIONS = "-c timezone=UTC"


@contextmanager
def connect(database: Database = "mlforge", *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """Give a connection whose session is in UTC; commits at the end, rolls back on an error.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    settings = get_settings()
    try:
        connection = psycopg.connect(
            settings.postgres_url(database), autocommit=autocommit, options=_OPTIONS, connect_timeout=10
        )
    except psycopg.OperationalError as error:
        raise ServiceUnavailableError(
            f"PostgreSQL does not answer: {' '.join(str(error).split())}",
            where=f"database {database}",
            hint="see `mlforge status`",
        ) from error
    with connection:
        yield connection


def engine(database: Database = "mlforge") -> Engine:
    """Return an SQLAlchemy engine without a pool: safe in a process that was forked."""
    from sqlalchemy import NullPool, create_engine

    url = get_settings().postgres_url(database, driver="psycopg")
    return create_engine(url, poolclass=NullPool, connect_args={"options": _OPTIONS})


def wait_until_ready(database: Database = "mlforge", *, seconds: float = 30) -> None:
    """Return as soon as PostgreSQL answers.

    Raises:
        ServiceUnavailableError: It does not within the given seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with connect(database) as connection:
                connection.execute("SELECT 1")
            return
        except ServiceUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
