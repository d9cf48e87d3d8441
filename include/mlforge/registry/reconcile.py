"""MLflow's alias `champion` follows the release ledger."""

from __future__ import annotations

import logging

from mlforge.db import connect, ledger
from mlforge.refs import Release
from mlforge.registry.journal import lock_releases
from mlforge.spec import UseCase
from mlforge.tracking import CHAMPION_ALIAS, configure_tracking, tracking_errors

_log = logging.getLogger(__name__)


def reconcile_alias(use_case: UseCase) -> bool:
    """Return whether MLflow's alias had to be changed to name the champion of the ledger.

    The lock on the releases is held meanwhile: an older champion can't be written over a newer one.

    Raises:
        TerminalError: The champion's model version is gone from MLflow.
        ServiceUnavailableError: MLflow or PostgreSQL does not answer.
    """
    with connect() as connection:
        lock_releases(connection, use_case.name)
        champion = ledger.newest_record(connection, use_case.name)
        return _set_alias(use_case, champion.release if champion else None)


def _set_alias(use_case: UseCase, champion: Release | None) -> bool:
    configure_tracking()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    with tracking_errors("the alias cannot be set", where=use_case.name):
        try:
            present = client.get_registered_model(use_case.name).aliases.get(CHAMPION_ALIAS)
        except MlflowException as error:
            if champion is not None or error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            present = None
        wanted = str(champion.model_version) if champion else None
        if (None if present is None else str(present)) == wanted:
            return False
        if wanted is None:
            client.delete_registered_model_alias(use_case.name, CHAMPION_ALIAS)
        else:
            client.set_registered_model_alias(use_case.name, CHAMPION_ALIAS, wanted)
    _log.info("%s: the alias %s named version %s, now %s", use_case.name, CHAMPION_ALIAS, present, wanted)
    return True
