"""The gate beside real services: its ledger row, its files, the state of the data, and a champion that is gone."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flight_sources import FIRST, LAST, ask, published, reading, real_rows
from gate_evidence import gated, make_evidence, make_labels
from gate_evidence import make_candidate as bare_candidate
from mlflow_server import artifact_folder
from mlforge import registry, storage
from mlforge.db import ledger
from mlforge.errors import PromotionError
from mlforge.models.copies import forget_cached
from mlforge.refs import Candidate, TrainingSet
from mlforge.registry.card import PromotionCard, page_uri
from mlforge.registry.checks.check import Check
from mlforge.registry.checks.data import check_contract
from mlforge.registry.gate import find_card
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.datasets import Policy
from mlforge.spec.gates import Segment
from release_parts import make_candidate

pytestmark = pytest.mark.integration

LABELS, GOOD = make_labels(500)
BASELINES = {"base_rate": {"log_loss": 5.0}}


def make_training_set(use_case: UseCase, rows: int = 4000) -> TrainingSet:
    """Store three weeks of examples that a model of `distance` and `hour` can score."""
    generator, as_of = np.random.default_rng(0), datetime(2013, 2, 11, tzinfo=UTC)
    late = generator.random(rows) < 0.3
    frame = pd.DataFrame(
        {
            "event_timestamp": [as_of - timedelta(minutes=7 * (rows - number)) for number in range(rows)],
            "distance": generator.random(rows),
            "hour": generator.random(rows),
            "carrier": generator.choice(["AA", "UA"], rows),
            "arr_delay": np.where(late, 60.0, 0.0),
        }
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    uri, digest = storage.put_bytes("training_sets/flight_delays", buffer.getvalue(), ".parquet")
    return TrainingSet(
        use_case="flight_delays", partition_key="2013-02-10", uri=uri, rows=rows, content_hash=digest,
        code_version="0" * 12, as_of=as_of, feature_service="flight_delays", publications={"flights": 1},
    )  # fmt: skip


@pytest.fixture
def use_case() -> UseCase:
    return gated(
        beat_baselines=["base_rate"],
        non_inferiority_margin=0.5,
        segments=[Segment(by="carrier", margin=0.5)],
        mcnemar_alpha=1e-6,
        maximum_latency_ms=1000.0,
        maximum_size_mb=5.0,
    )


@pytest.fixture
def candidates(database: Settings, mlflow_server: Settings, use_case: UseCase) -> list[Candidate]:
    """Two models in MLflow that have been evaluated on the same examples."""
    training_set = make_training_set(use_case)
    evaluated = {"training_set": training_set, "baselines": BASELINES}
    return [make_candidate(rounds).model_copy(update=evaluated) for rounds in (2, 3)]


def decisions() -> list[dict[str, Any]]:
    return [row for (row,) in ask("SELECT evidence FROM ledger.gate_decisions ORDER BY decision_id")]


def test_the_ledger_and_mlflow_have_the_card_with_every_figure(use_case: UseCase, candidates: list[Candidate]) -> None:
    from mlflow import MlflowClient

    first, second = candidates
    registry.promote_candidate(use_case, registry.gate_candidate(use_case, first), who="ann", why="first")
    decision = registry.gate_candidate(use_case, second)
    assert decision.passed, decision.reasons
    card = find_card(use_case, second.model_version)
    assert [check.name for check in card.checks] == [
        "beats base_rate", "no worse than the champion", "labels no worse", "no worse by carrier", "fast enough",
        "small enough",
    ]  # fmt: skip
    assert all(check.figures for check in card.checks)
    assert {group.value for group in card.segments} == {"AA", "UA"}
    assert PromotionCard.model_validate(decisions()[1]) == card
    assert storage.read_bytes(decision.uri, content_hash=decision.content_hash).decode() == card.markdown()
    assert "By carrier" in storage.read_bytes(page_uri(decision.uri)).decode()
    logged = {file.path for file in MlflowClient().list_artifacts(second.run_id)}
    assert {"promotion_card.md", "promotion_card.json", "promotion_card.html"} <= logged


def test_a_clock_alone_makes_no_new_decision(use_case: UseCase, candidates: list[Candidate]) -> None:
    decision = registry.gate_candidate(use_case, candidates[0])
    assert registry.gate_candidate(use_case, candidates[0]) == decision
    assert registry.find_decision(use_case, candidates[0].model_version) == decision
    assert len(decisions()) == 1


def test_a_metric_that_is_no_number_is_a_refusal_in_the_ledger(use_case: UseCase, candidates: list[Candidate]) -> None:
    broken = candidates[0].model_copy(
        update={"baselines": {"base_rate": {"log_loss": float("nan")}}, "metrics": {"test_auc": float("inf")}}
    )
    decision = registry.gate_candidate(use_case, broken)
    assert not decision.passed
    assert decision.reasons == ("base_rate has no log_loss: evaluate the candidate again",)
    assert json.dumps(decisions()[0], allow_nan=False)


def test_a_champion_that_is_gone_stops_the_gate_and_says_the_way_out(
    use_case: UseCase, candidates: list[Candidate], mlflow_server: Settings
) -> None:
    first, second = candidates
    release = registry.promote_candidate(use_case, registry.gate_candidate(use_case, first), who="ann", why="first")
    for folder in artifact_folder(mlflow_server).rglob(first.uri.removeprefix("models:/")):
        shutil.rmtree(folder)
    forget_cached(first.uri)
    with pytest.raises(PromotionError, match="mlforge models rollback") as caught:
        registry.gate_candidate(use_case, second)
    assert f"the champion, version {first.model_version} of release {release.release_id}" in str(caught.value)
    assert len(decisions()) == 1
    assert ledger.champion("flight_delays") == release


def state(use_case: UseCase, *, newest: int | None = None) -> Check:
    """Return what the gate says of the training window that ends with the four days of April."""
    publications = dict(ask("SELECT dataset, max(publication_id) FROM ledger.publications GROUP BY dataset"))
    if newest is not None:
        publications["flights"] = newest
    candidate = bare_candidate()
    training_set = candidate.training_set.model_copy(
        update={"publications": publications, "as_of": datetime(2013, 4, 5, tzinfo=UTC)}
    )
    asking = gated(maximum_quarantined=0.05)
    evidence = make_evidence(
        asking, LABELS, GOOD, candidate=candidate.model_copy(update={"training_set": training_set})
    )
    return check_contract(evidence)[0]


def test_rows_that_broke_their_contract_count_as_they_stood_then(
    database: Settings, use_case: UseCase, tmp_path: Path
) -> None:
    shipped, half = load_use_case("flight_delays"), Policy(broken_rows="quarantine", quarantine_up_to=0.5)
    assert "cannot be told" in state(use_case).detail
    assert not state(use_case).passed
    rows = real_rows()
    rows.loc[rows.index[:300], "distance"] = "7"
    published(reading(shipped, rows, tmp_path / "broken.csv", policy=half), f"{FIRST}..{LAST}")
    then = int(ask("SELECT max(publication_id) FROM ledger.publications")[0][0])
    refused = state(use_case)
    assert not refused.passed
    assert refused.figures["quarantined"] == 300
    assert refused.figures["share_flights"] == pytest.approx(300 / len(rows), rel=0.01)
    assert refused.figures["partitions"] == 4
    published(shipped, f"{FIRST}..{LAST}")
    assert state(use_case).passed
    assert state(use_case).figures["quarantined"] == 0
    assert state(use_case, newest=then).figures["quarantined"] == 300


def test_rules_that_were_only_warned_of_are_told(database: Settings, use_case: UseCase, tmp_path: Path) -> None:
    shipped, rows = load_use_case("flight_delays"), real_rows()
    rows.loc[rows.index[:50], "flight"] = "99999"
    published(reading(shipped, rows, tmp_path / "warn.csv", policy=Policy(broken_rows="warn")), f"{FIRST}..{LAST}")
    check = state(use_case)
    assert check.passed
    assert check.figures["rules_broken"] == 1
    assert "broken: flights: flight.range (1 partitions)" in check.detail
