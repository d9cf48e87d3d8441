"""The gate: a candidate beside the champion, on the same rows, by the rules of use_case.yaml."""

from __future__ import annotations

import logging
import math
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from mlforge import storage
from mlforge.db import connect, ledger, lock_partition
from mlforge.errors import MLForgeError, PromotionError, TerminalError
from mlforge.examples import load_examples, split_by_time
from mlforge.models import load_model
from mlforge.refs import Candidate, GateDecision, Release
from mlforge.registry.card import PromotionCard
from mlforge.registry.card_page import card_page
from mlforge.registry.checks import Evidence, predict, run_checks
from mlforge.scoring import ScoringModel
from mlforge.spec import UseCase
from mlforge.tracking import configure_tracking, tracking_errors

_log = logging.getLogger(__name__)


def gate_candidate(use_case: UseCase, candidate: Candidate, *, run_id: str | None = None) -> GateDecision:
    """Return whether a candidate may become champion, written to the ledger with all figures.

    The candidate must keep every rule of `gates` on its own test days: beside simple baselines, beside the champion
    over all rows and in each group, by its labels, its cost and the state of its data. Asked again with the same
    outcome, nothing new is written. A score that is no number is a refusal, not an error.

    Raises:
        PromotionError: The candidate has not been evaluated, the champion's model cannot be read, or `gates` names a
            column that the training set lacks.
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
    card = _judge(use_case, _without_nan(candidate), champion)
    uri, digest = _store(card)
    earlier = _record(card, uri, run_id)
    if earlier is not None:
        return earlier
    _log_card(card)
    return _decision(card, uri, digest)


def find_decision(use_case: UseCase, model_version: int) -> GateDecision:
    """Return the newest decision about a model version.

    Raises:
        PromotionError: The gate has not seen it.
    """
    return _recorded(_require_decision(use_case, model_version))


def find_card(use_case: UseCase, model_version: int) -> PromotionCard:
    """Return the promotion card of the newest decision about a model version.

    Raises:
        PromotionError: The gate has not seen it.
    """
    return PromotionCard.model_validate(_require_decision(use_case, model_version)["evidence"])


def _require_decision(use_case: UseCase, model_version: int) -> dict[str, Any]:
    with connect() as connection:
        row = newest_decision(connection, use_case.name, model_version)
    if row is None:
        raise PromotionError(
            f"the gate has not seen version {model_version}", where=use_case.name, hint="run the stage gate first"
        )
    return row


def _recorded(row: dict[str, Any]) -> GateDecision:
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
    examples = load_examples(use_case, candidate.training_set)
    test = split_by_time(use_case, examples)["test"]
    model = load_model(use_case, candidate.uri)
    evidence = Evidence(
        use_case=use_case,
        candidate=candidate,
        examples=examples,
        test=test,
        model=model,
        own=predict(use_case, model, test),
        champion=champion,
        theirs=None if champion is None else predict(use_case, _load_champion(use_case, champion), test),
    )
    checks, groups = run_checks(evidence)
    return PromotionCard(
        use_case=use_case.name,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
        candidate=candidate,
        champion=champion,
        comparison=evidence.comparison,
        segments=groups,
        metrics=evidence.own.metrics,
        champion_metrics=None if evidence.theirs is None else evidence.theirs.metrics,
        rows=len(test),
        window=(f"{test.times[0]}"[:16], f"{test.times[-1]}"[:16]),
        gates=use_case.gates.model_dump(mode="json"),
    )


def _load_champion(use_case: UseCase, champion: Release) -> ScoringModel:
    """Return the champion's model.

    Raises:
        PromotionError: It is gone or cannot be read, nowhere on this machine either.
        ServiceUnavailableError: MLflow does not answer.
    """
    try:
        return load_model(use_case, champion.uri)
    except TerminalError as error:
        raise PromotionError(
            f"the champion, version {champion.model_version} of release {champion.release_id}, cannot be read, so "
            "nothing can be compared with it; nothing was decided",
            where=use_case.name,
            evidence=[error],
            hint=f"bring its files back, or `mlforge models rollback --use-case {use_case.name}` makes the model "
            "before it champion; then run the stage gate again",
        ) from error


def _without_nan(candidate: Candidate) -> Candidate:
    """Return the candidate with only those scores that are numbers: the ledger's JSON knows no NaN."""

    def finite(scores: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in scores.items() if math.isfinite(value)}

    baselines = {name: finite(scores) for name, scores in candidate.baselines.items()}
    cleaned = {"metrics": finite(candidate.metrics), "baselines": baselines}
    same = cleaned == {"metrics": candidate.metrics, "baselines": candidate.baselines}
    return candidate if same else candidate.model_copy(update=cleaned)


def _store(card: PromotionCard) -> tuple[str, str]:
    """Store the card as JSON, as Markdown and, beside that, as a page; return the Markdown's URI and hash."""
    folder = f"promotion_cards/{card.use_case}"
    storage.put_bytes(folder, card.json_text().encode(), ".json")
    uri, digest = storage.put_bytes(folder, card.markdown().encode(), ".md")
    storage.put_named(f"{folder}/{digest}.html", card_page(card).encode())
    return uri, digest


def _record(card: PromotionCard, uri: str, run_id: str | None) -> GateDecision | None:
    """Write the decision to the ledger; return the newest one about the version instead if it says the same."""
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
        if newest is not None and PromotionCard.model_validate(newest["evidence"]).says_the_same_as(card):
            return _recorded(newest)
        connection.execute(
            """
            INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, champion_release,
                                               passed, reasons, evidence, card_uri, run_id)
            VALUES (%(use_case)s, %(partition_key)s, %(model_name)s, %(model_version)s, %(champion_release)s,
                    %(passed)s, %(reasons)s, %(evidence)s, %(card_uri)s, %(run_id)s)
            """,
            row,
        )
    return None


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
            client.log_text(card.candidate.run_id, card_page(card), "promotion_card.html")
            client.set_tag(card.candidate.run_id, "mlforge.gate", "passed" if card.passed else "refused")
    except MLForgeError as error:
        _log.warning("%s", error)
