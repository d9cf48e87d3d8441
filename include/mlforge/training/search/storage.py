"""Where studies lie: Optuna's own tables, in the schema `search` of the database mlforge."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlforge import db
from mlforge.db.locks import lock_partition
from mlforge.errors import ServiceUnavailableError, TrainingError
from mlforge.settings import get_settings

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

# A worker says that often that its trial is alive, and one that was silent for so long counts as killed.
HEARTBEAT_SECONDS = 5
GRACE_SECONDS = 60

# `public` is not on the path: Alembic's table of versions stays beside Optuna's tables, not beside ours.
_OPTIONS = "-csearch_path=search -ctimezone=UTC"
_LOCK = ("search", "tables of Optuna")


@contextmanager
def open_storage() -> Iterator[RDBStorage]:
    """Give Optuna's storage; its tables are made at the first call.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer.
        TrainingError: The tables are those of another version of Optuna.
    """
    with quiet_optuna(), storage_errors():
        storage = _connect()
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


def load_study(storage: RDBStorage, name: str) -> Study:
    """Return the study of a name.

    Raises:
        TrainingError: There is none.
    """
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise TrainingError(
            "the study does not exist", where=name, hint="plan the search again: mlforge stage plan-search"
        ) from None


def _connect() -> RDBStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy import make_url

    url = make_url(get_settings().postgres_url(driver="psycopg")).update_query_dict({"options": _OPTIONS})
    # Two workers that make the tables at once would collide.
    with db.connect() as connection:
        lock_partition(connection, *_LOCK)
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"pool_size": 2},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
            )
        except RuntimeError as error:
            raise TrainingError(
                "the studies were written by another version of Optuna",
                where="schema search",
                evidence=[str(error).split(". ")[0]],
                hint="install the locked version, or drop the schema's tables: findings are kept in the ledger",
            ) from error


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's lines of every trial and its notices about experimental parts out of the log."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", message="Heartbeat of storage")
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn a database that goes away meanwhile into an error that is tried again; its URL is in no message.

    Raises:
        ServiceUnavailableError: PostgreSQL does not answer any more.
    """
    import psycopg
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (StorageInternalError, DBAPIError, psycopg.OperationalError) as error:
        cause = error.__cause__ or error
        original = getattr(cause, "orig", None) or cause
        raise ServiceUnavailableError(
            f"the study cannot be read or written: {' '.join(str(original).split())[:200]}",
            where="schema search",
            hint="see `mlforge status`; the same search goes on",
        ) from None
