"""The way back: a new row of the journal that makes an earlier release champion again."""

from __future__ import annotations

import logging

from mlforge.db import connect, ledger
from mlforge.errors import MLForgeError, PromotionError
from mlforge.models import load_model
from mlforge.refs import Release
from mlforge.registry.journal import append_rollback, lock_releases, surviving
from mlforge.registry.reconcile import reconcile_alias
from mlforge.spec import UseCase

_log = logging.getLogger(__name__)


def rollback_release(use_case: UseCase, *, who: str, why: str) -> Release:
    """Return the new release that carries the model before the champion's.

    Each rollback takes back one promotion: two of them go two models back, never forth again.

    Args:
        use_case: Whose champion.
        who: Person who asks for it.
        why: Reason, kept in the ledger.

    Raises:
        PromotionError: There is no earlier release.
        TerminalError: The earlier model does not load: the champion stays.
        ServiceUnavailableError: PostgreSQL does not answer, or the model must be downloaded and MLflow does not.
    """
    with connect() as connection:
        lock_releases(connection, use_case.name)
        records = ledger.journal(connection, use_case.name)
        standing = surviving(records)
        if len(standing) < 2:
            raise PromotionError(
                "there is no earlier release to go back to",
                where=use_case.name,
                evidence=[f"{len(records)} releases so far"],
                hint="see `mlforge models history`",
            )
        target = standing[-2]
        load_model(use_case, target.release.uri)
        release = append_rollback(connection, records[-1], target, who=who, why=why)
    try:
        reconcile_alias(use_case)
    except MLForgeError as error:
        _log.warning("%s; `mlforge models reconcile` repairs the alias", error)
    return release
