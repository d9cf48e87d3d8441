"""The way back: a new row of the journal that makes an earlier release champion again."""

from __future__ import annotations

import logging

from mlforge.db import connect, ledger
from mlforge.errors import PromotionError, TerminalError
from mlforge.models import load_model
from mlforge.refs import Release
from mlforge.registry.journal import append_rollback, lock_releases, surviving
from mlforge.registry.reconcile import follow_release
from mlforge.spec import UseCase

_log = logging.getLogger(__name__)


def rollback_release(use_case: UseCase, *, who: str, why: str, run_id: str | None = None) -> Release:
    """Return the new release that carries the newest model before the champion's that loads.

    Each rollback takes back one promotion: two of them go two models back, never forth again. An earlier release whose
    model is gone is passed over; the log and the new row of the ledger name it.

    Args:
        use_case: Whose champion.
        who: Person who asks for it.
        why: Reason, kept in the ledger.
        run_id: Run of the orchestrator.

    Raises:
        PromotionError: There is no earlier release, or none that loads: the champion stays.
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
        target, passed_over = _newest_that_loads(use_case, standing[:-1])
        if passed_over:
            why = f"{why} (passed over, as they do not load: {', '.join(passed_over)})"
        release = append_rollback(connection, records[-1], target, who=who, why=why)
    follow_release(use_case, who=who, run_id=run_id)
    return release


def _newest_that_loads(
    use_case: UseCase, earlier: list[ledger.ReleaseRecord]
) -> tuple[ledger.ReleaseRecord, list[str]]:
    """Return the newest release whose model loads and is what was released, and the names of those passed over."""
    passed_over: list[str] = []
    found: list[str] = []
    for record in reversed(earlier):
        release = record.release
        name = f"release {release.release_id}, version {release.model_version}"
        try:
            if load_model(use_case, release.uri).content_hash == release.content_hash:
                return record, passed_over
            reason = "its hash differs from the ledger's"
        except TerminalError as error:
            reason = error.what
        _log.warning("%s: %s does not load: %s", use_case.name, name, reason)
        passed_over.append(name)
        found.append(f"{name}: {reason}")
    raise PromotionError(
        "no earlier release loads: the champion stays",
        where=use_case.name,
        evidence=found,
        hint="train and promote another; `mlforge models history` lists the releases",
    )
