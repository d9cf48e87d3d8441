"""The gate: a candidate beside the champion, on the same rows, by the rules of use_case.yaml."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from mlforge.db import connect, ledger, lock_partition
from mlforge.errors import MLForgeError, PromotionError
from mlforge.examples import Examples, load_examples, split_by_time
from mlforge.metrics import Vector, measure
from mlforge.models import load_model
from mlforge.refs import Candidate, GateDecision, Release
from mlforge.registry.card import Check, PromotionCard
from mlforge.registry.comparison import Comparison, compare_scores
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors

_log = logging.getLogger(__name__)


def gate_candidate(use_case: UseCase, candidate: Candidate, *, run_id: str | None = None) -> GateDecision:
    """Return whether a candidate may become champion, written to the ledger with all figures.

    The candidate must beat the baselines, keep the limit of its calibration error or its bias and, where there is a
    champion, be no worse than it by more than the margin on the candidate's own test days. Asked again with the same
    outcome, nothing new is written.

    Raises:
        PromotionError: The candidate has not been evaluated.
        TerminalError: A model or the training set is gone.
        ServiceUnavailableError: MLflow or PostgreSQL does not answer.
    """
    if not candidate.baselines:
        raise PromotionError(
            f"version {candidate.model_version} has no scores on its test days",
            where=use_case.name,
            hint="run the stage evaluate first",
        )
    champion = ledger.champion(use_case.name)
    card, uri, digest = _judge(use_case, candidate, champion).store()
    _record(card, uri, run_id)
    _log_card(card)
    return _decision(card, uri, digest)


def find_decision(use_case: UseCase, model_version: int) -> GateDecision:
    """Return the newest decision about a model version.

    Raises:
        PromotionError: The gate has not seen it.
    """
    with connect() as connection:
        row = newest_decision(connection, use_case.name, model_version)
    if row is None:
        raise PromotionError(
            f"the gate has not seen version {model_version}", where=use_case.name, hint="run the stage gate first"
        )
    uri = str(row["card_uri"])
    # The file is named after its hash.
    digest = uri.rsplit("/", 1)[1].removesuffix(".md")
    return _decision(PromotionCard.model_validate(row["evidence"]), uri, digest)


def _decision(card: PromotionCard, uri: str, digest: str) -> GateDecision:
    return GateDecision(
        use_case=card.use_case,
        partition_key=card.candidate.partition_key,
        uri=uri,
        rows=card.rows,
        content_hash=digest,
        code_version=card.candidate.code_version,
        passed=card.passed,
        reasons=card.reasons,
        candidate=card.candidate,
        champion_release=card.champion.release_id if card.champion else None,
    )


def _judge(use_case: UseCase, candidate: Candidate, champion: Release | None) -> PromotionCard:
    test = split_by_time(use_case, load_examples(use_case, candidate.training_set))["test"]
    scores = _score(use_case, candidate.uri, test)
    metrics = measure(use_case.task, test.labels, scores)
    checks = _check_alone(use_case, candidate, metrics)
    comparison, champion_metrics = None, None
    if champion is not None:
        champion_scores = _score(use_case, champion.uri, test)
        champion_metrics = measure(use_case.task, test.labels, champion_scores)
        comparison = compare_scores(use_case.gates, test.labels, challenger=scores, champion=champion_scores)
        checks.append(_check_champion(champion, comparison))
    return PromotionCard(
        use_case=use_case.name,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
        candidate=candidate,
        champion=champion,
        comparison=comparison,
        metrics=metrics,
        champion_metrics=champion_metrics,
        rows=len(test),
        window=(f"{test.times[0]}"[:16], f"{test.times[-1]}"[:16]),
        gates=use_case.gates.model_dump(mode="json"),
    )


def _score(use_case: UseCase, uri: str, test: Examples) -> Vector:
    model = load_model(use_case, uri)
    return model.score(test.columns(model.feature_names))


def _check_alone(use_case: UseCase, candidate: Candidate, metrics: dict[str, float]) -> list[Check]:
    gates, checks = use_case.gates, []
    own = metrics[gates.metric]
    for baseline in gates.beat_baselines:
        other = candidate.baselines[baseline][gates.metric]
        sign = "<" if own < other else "≥"
        detail = f"{gates.metric} {own:.4f} {sign} {other:.4f} of {baseline}"
        checks.append(Check(name=f"beats {baseline}", passed=own < other, detail=detail))
    for name, limit, score, text in (
        ("calibrated", gates.maximum_calibration_error, "ece", "calibration error"),
        ("unbiased", gates.maximum_relative_bias, "relative_bias", "mean error as a share of the mean outcome"),
    ):
        if limit is not None:
            checks.append(_check_limit(name, limit, metrics.get(score), text))
    return checks


def _check_limit(name: str, limit: float, value: float | None, text: str) -> Check:
    if value is None:
        return Check(name=name, passed=False, detail=f"{text} cannot be told: the mean outcome is zero")
    kept = abs(value) <= limit
    return Check(name=name, passed=kept, detail=f"{text} {value:.4f} {'≤' if kept else '>'} {limit}")


def _check_champion(champion: Release, comparison: Comparison) -> Check:
    kept = comparison.non_inferior
    detail = (
        f"{comparison.metric} {comparison.challenger:.4f} against {comparison.champion:.4f} of release "
        f"{champion.release_id}: difference {comparison.difference:+.4f}, {comparison.confidence:.0%} interval "
        f"{comparison.lower:+.4f} to {comparison.upper:+.4f}, upper end {'≤' if kept else '>'} {comparison.margin}"
    )
    return Check(name="no worse than the champion", passed=kept, detail=detail)


def _record(card: PromotionCard, uri: str, run_id: str | None) -> None:
    """Write the decision to the ledger unless the newest one about the version is this one."""
    row: dict[str, Any] = {
        "use_case": card.use_case,
        "partition_key": card.candidate.partition_key,
        "model_name": card.candidate.model_name,
        "model_version": card.candidate.model_version,
        "champion_release": card.champion.release_id if card.champion else None,
        "passed": card.passed,
        "reasons": Jsonb(list(card.reasons)),
        "evidence": Jsonb(card.model_dump(mode="json")),
        "card_uri": uri,
        "run_id": run_id,
    }
    with connect() as connection:
        lock_partition(connection, card.use_case, "gate")
        newest = newest_decision(connection, card.use_case, card.candidate.model_version)
        if newest is not None and newest["card_uri"] == uri:
            return
        connection.execute(
            """
            INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, champion_release,
                                               passed, reasons, evidence, card_uri, run_id)
            VALUES (%(use_case)s, %(partition_key)s, %(model_name)s, %(model_version)s, %(champion_release)s,
                    %(passed)s, %(reasons)s, %(evidence)s, %(card_uri)s, %(run_id)s)
            """,
            row,
        )


def newest_decision(connection: psycopg.Connection[Any], use_case: str, model_version: int) -> dict[str, Any] | None:
    """Return the newest ledger row about a model version, None if the gate has not seen it."""
    query = """
        SELECT decision_id, passed, champion_release, card_uri, evidence FROM ledger.gate_decisions
        WHERE use_case = %(use_case)s AND model_version = %(model_version)s ORDER BY decision_id DESC LIMIT 1
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"use_case": use_case, "model_version": model_version}).fetchone()


def _log_card(card: PromotionCard) -> None:
    """Show the card in MLflow too; the ledger has it already, so a failure there is noted and no more."""
    configure_tracking()
    from mlflow import MlflowClient

    try:
        with tracking_errors("the promotion card cannot be logged", where=card.use_case):
            client = MlflowClient()
            client.log_text(card.candidate.run_id, card.markdown(), "promotion_card.md")
            client.log_text(card.candidate.run_id, card.json_text(), "promotion_card.json")
            client.set_tag(card.candidate.run_id, "mlforge.gate", "passed" if card.passed else "refused")
    except MLForgeError as error:
        _log.warning("%s", error)
