"""Promotion: a compare-and-set on the release ledger; MLflow's alias follows."""

from __future__ import annotations

import numpy as np
import psycopg

from mlforge.db import connect, ledger
from mlforge.errors import PromotionError
from mlforge.models import load_model
from mlforge.refs import Candidate, GateDecision, Release
from mlforge.registry.gate import newest_decision
from mlforge.registry.journal import append_promotion, lock_releases
from mlforge.registry.reconcile import follow_release
from mlforge.registry.versioning import next_version
from mlforge.spec import UseCase


def promote_candidate(
    use_case: UseCase, decision: GateDecision, *, who: str, why: str, run_id: str | None = None
) -> Release:
    """Return the release that makes a candidate champion.

    The new row follows the champion that the gate compared with; if that one is champion no more, nothing is written.
    A candidate that is champion already keeps its release. The bento's tag is `<use_case>:v<model version>-r<place of
    the release in the journal>`: known before the bento is built, the same on every retry, and a rollback names the
    bento that exists already. The semantic version tells what changed since that champion (`versioning.py`).

    Args:
        use_case: Whose champion.
        decision: What the gate said.
        who: Person or run that promotes.
        why: Reason, kept in the ledger.
        run_id: Run of the orchestrator.

    Raises:
        PromotionError: The gate refused it, or somebody promoted or rolled back since; the message says who.
        TerminalError: The model does not load or score.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    candidate = decision.candidate
    if not decision.passed:
        raise PromotionError(
            f"the gate refused version {candidate.model_version}",
            where=use_case.name,
            evidence=decision.reasons,
            hint=f"see the promotion card {decision.uri}",
        )
    _require_scores(use_case, candidate)
    with connect() as connection:
        lock_releases(connection, use_case.name)
        records = ledger.journal(connection, use_case.name)
        champion = records[-1] if records else None
        promoted = champion is None or champion.release.uri != candidate.uri
        if champion is None or promoted:
            _require_same_champion(use_case, decision, champion)
            values = _values(use_case, connection, decision, who, why, run_id)
            values["version"] = str(next_version(records, candidate))
            release = append_promotion(connection, use_case.name, champion, values)
        else:
            release = champion.release
    follow_release(use_case, who=who, run_id=run_id, just_released=promoted)
    return release


def _values(
    use_case: UseCase,
    connection: psycopg.Connection[tuple[object, ...]],
    decision: GateDecision,
    who: str,
    why: str,
    run_id: str | None,
) -> dict[str, object]:
    candidate = decision.candidate
    found = newest_decision(connection, use_case.name, candidate.model_version)
    if found is None or not found["passed"] or found["card_uri"] != decision.uri:
        raise PromotionError(
            f"the ledger's newest decision about version {candidate.model_version} is another one",
            where=use_case.name,
            hint="run the stage gate again",
        )
    return {
        "partition_key": candidate.partition_key,
        "model_name": candidate.model_name,
        "model_version": candidate.model_version,
        "model_uri": candidate.uri,
        "mlflow_run_id": candidate.run_id,
        "content_hash": candidate.content_hash,
        "decision_id": found["decision_id"],
        "feature_service": candidate.training_set.feature_service,
        "training_set": candidate.training_set.dump(),
        "evidence": found["evidence"],
        "traffic_plan": {"kind": "all_at_once", **use_case.rollout.model_dump(mode="json")},
        "code_version": candidate.code_version,
        "fingerprints": candidate.fingerprints,
        "run_id": run_id,
        "who": who,
        "why": why,
    }


def _require_scores(use_case: UseCase, candidate: Candidate) -> None:
    """Check that the model is what was trained, loads, and scores a row of which nothing is known."""
    where = f"{use_case.name}, version {candidate.model_version}"
    model = load_model(use_case, candidate.uri)
    if model.content_hash != candidate.content_hash:
        raise PromotionError(
            "the model is not the one that was trained: its hash differs", where=where, hint="train it again"
        )
    score = model.score({name: [None] for name in model.feature_names})
    if not np.isfinite(score).all():
        raise PromotionError("the model's score is no number", where=where, evidence=score.tolist())
    if use_case.task == "classification" and not np.all((score >= 0) & (score <= 1)):
        raise PromotionError("the model's score is no probability", where=where, evidence=score.tolist())


def _require_same_champion(use_case: UseCase, decision: GateDecision, champion: ledger.ReleaseRecord | None) -> None:
    present = champion.release.release_id if champion else None
    if present == decision.champion_release:
        return
    if champion is None:
        raise PromotionError(
            f"the gate compared with release {decision.champion_release}, which this ledger does not have",
            where=use_case.name,
            hint="run the stage gate again",
        )
    seen = f"release {decision.champion_release}" if decision.champion_release else "no champion"
    did = "promoted" if champion.kind == "promote" else "rolled back to"
    raise PromotionError(
        f"the gate compared version {decision.candidate.model_version} with {seen}, but since {champion.who} {did} "
        f"version {champion.release.model_version} (release {present}, {champion.released_at:%Y-%m-%d %H:%M} UTC)",
        where=use_case.name,
        evidence=[champion.why],
        hint="run the stage gate again: it compares with the champion of now",
    )
