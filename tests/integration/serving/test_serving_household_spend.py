"""A regression's whole way, with real households: from the source to an answer, its outcome and its score."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from household_sources import WEEKS, fewer_households
from mlforge import stages
from mlforge.db import connect
from mlforge.monitoring import measure_performance
from mlforge.refs import Candidate, Deployment, FeaturePartition, GateDecision, PublishedPartition, Release, TrainingSet
from mlforge.serving import demo_key, trace_receipt
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.stages import StageRun

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

BASELINES = {"mean", "last_value", "linear_regression"}
ASKED = "2017-05-15"  # the newest week, whose outcome the model was not fitted on


@pytest.fixture(scope="module")
def use_case(tmp_path_factory: pytest.TempPathFactory) -> UseCase:
    """household_spend with every eighth household; the gateway's fixture takes it too."""
    return fewer_households(tmp_path_factory.mktemp("households"))


@pytest.fixture(scope="module")
def run(use_case: UseCase) -> StageRun:
    """Twenty weeks, as the first load takes them."""
    return StageRun(use_case, use_case.partitions(WEEKS), who="tester", why="a test")


@dataclass
class Built:
    """What the data chain gave."""

    published: dict[str, PublishedPartition]
    features: FeaturePartition


@pytest.fixture(scope="module")
def built(gateway: Settings, run: StageRun) -> Built:
    """Twenty weeks in the warehouse, in the feature tables and online."""
    published = {}
    for dataset in run.use_case.datasets:
        of_dataset = StageRun(run.use_case, run.days, dataset=dataset)
        checked = stages.check(of_dataset, stages.extract(of_dataset))
        published[dataset] = stages.publish(of_dataset, checked)
    return Built(published, stages.materialize(run, stages.build_features(run)))


@pytest.fixture(scope="module")
def training_set(built: Built, run: StageRun) -> TrainingSet:
    """Twelve weeks of examples."""
    return stages.assemble(run)


@pytest.fixture(scope="module")
def candidate(training_set: TrainingSet, mlflow_server: Settings, run: StageRun) -> Candidate:
    """A trained and evaluated candidate."""
    return stages.evaluate(run, stages.train(run, training_set))


@pytest.fixture(scope="module")
def decision(candidate: Candidate, run: StageRun) -> GateDecision:
    """What the gate says of it."""
    return stages.gate(run, candidate)


@pytest.fixture(scope="module")
def release(decision: GateDecision, run: StageRun) -> Release:
    """The champion."""
    return stages.promote(run, decision)


@pytest.fixture(scope="module")
def deployment(release: Release, run: StageRun) -> Deployment:
    """The champion behind the gateway."""
    return stages.roll_out(run, stages.verify(run, stages.package(run)))


@pytest.fixture(scope="module")
def households(training_set: TrainingSet) -> dict[int, float]:
    """Household → what it spent in the week that is asked for."""
    rows = read_rows(training_set)
    return {row["household_id"]: row["spend"] for row in rows if f"{row['week_start']:%Y-%m-%d}" == ASKED}


def read_rows(training_set: TrainingSet) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(training_set.uri.removeprefix("file://")).to_pylist()
    return rows


def ask(use_case: UseCase, household: int) -> httpx.Response:
    return httpx.post(
        f"{get_settings().gateway_url}/{use_case.name}/predict",
        json={"household_id": household, "week_start": f"{ASKED}T00:00:00Z"},
        headers={"x-api-key": demo_key()},
        timeout=15,
        trust_env=False,
    )


def test_no_row_is_lost_or_set_aside(built: Built) -> None:
    assert {name: ref.rows_quarantined + ref.rows_duplicate for name, ref in built.published.items()} == {
        "transactions": 0,
        "products": 0,
        "demographics": 0,
    }
    assert built.published["transactions"].changed == 20
    assert built.features.views["demographics"] == built.published["demographics"].rows
    assert built.features.materialized > 0


def test_the_outcome_is_the_spend_of_the_seven_days_that_follow(training_set: TrainingSet) -> None:
    query = """
        SELECT coalesce(sum(sales_value), 0) FROM warehouse.household_spend__transactions
        WHERE household_id = %(household_id)s
          AND event_timestamp >= %(week_start)s AND event_timestamp < %(week_start)s + interval '7 days'
    """
    last = """
        SELECT coalesce(sum(sales_value), 0) FROM warehouse.household_spend__transactions
        WHERE household_id = %(household_id)s
          AND known_at > %(week_start)s - interval '7 days' AND known_at <= %(week_start)s
    """
    rows = read_rows(training_set)
    assert len({row["week_start"] for row in rows}) == 12
    with connect() as connection:
        for row in rows[:: len(rows) // 20]:
            spent, before = (connection.execute(text, row).fetchone() for text in (query, last))
            assert row["spend"] == pytest.approx(spent[0])
            assert (row["spending__spend_1w"] or 0) == pytest.approx(before[0])
            assert row["known_at"] <= training_set.as_of


def test_a_candidate_beats_its_baselines_on_weeks_that_it_has_not_seen(
    candidate: Candidate, decision: GateDecision
) -> None:
    assert set(candidate.baselines) == BASELINES
    for name in ("mean", "last_value"):
        assert candidate.metrics["test_mae"] < 0.9 * candidate.baselines[name]["mae"]
    assert candidate.baselines["mean"]["r2"] <= 0 < candidate.metrics["test_r2"]
    assert decision.passed, decision.reasons
    card = Path(decision.uri.removeprefix("file://")).read_text(encoding="utf-8")
    assert "| beats last_value | yes | mae" in card
    assert "| unbiased | yes |" in card
    assert "log_loss" not in card
    assert "probability" not in card


def test_an_answer_is_a_value_with_its_unit_and_a_receipt(
    deployment: Deployment, use_case: UseCase, households: dict[int, float], candidate: Candidate
) -> None:
    household = next(iter(households))
    response = ask(use_case, household)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) == {"value", "unit", "model_version", "release", "receipt_id", "flags"}
    assert answer["unit"] == "USD"
    assert answer["value"] > 0
    assert "missing:spending" not in answer["flags"]
    receipt = trace_receipt(answer["receipt_id"])["receipt"]
    assert (receipt["score"], receipt["label"]) == (answer["value"], None)
    assert receipt["moment"] == datetime(2017, 5, 15, tzinfo=UTC)
    assert receipt["features"]["day_of_month"] == 15
    schema = _document(use_case)["components"]["schemas"]["Prediction"]
    assert set(schema["properties"]) == set(answer) == set(schema["required"])


def _document(use_case: UseCase) -> dict[str, Any]:
    url = f"{get_settings().gateway_url}/{use_case.name}/docs.json"
    document: dict[str, Any] = httpx.get(url, timeout=15, trust_env=False).json()
    return document


def test_predictions_get_their_outcomes_and_a_score(
    deployment: Deployment, use_case: UseCase, households: dict[int, float]
) -> None:
    chosen = list(households.items())[:40]
    errors = [ask(use_case, household).json()["value"] - spend for household, spend in chosen]
    week = StageRun(use_case, use_case.partitions(ASKED))
    assert stages.join_outcomes(week) >= len(chosen)
    with connect() as connection:
        query = "SELECT label FROM ledger.current_outcomes WHERE use_case = %s"
        labels = [label for (label,) in connection.execute(query, [use_case.name]).fetchall()]
    assert set(map(round, labels)) <= {round(spend) for _, spend in chosen}
    measured = measure_performance(use_case, week.days)
    assert measured["coverage"] == 1.0
    assert measured["mae"] == pytest.approx(sum(map(abs, errors)) / len(errors), rel=0.1)
    assert {"rmse", "bias", "mean_outcome"} <= set(measured)
    assert not {"positive_rate", "log_loss"} & set(measured)


def test_drift_compares_weeks(deployment: Deployment, use_case: UseCase) -> None:
    week = StageRun(use_case, use_case.partitions(ASKED))
    assert stages.monitored_days(week).key == "2017-04-24..2017-05-15"
    report = stages.drift(week, stages.assemble_partition(week))
    assert report.scores["spending__spend_4w"] < 0.25
    assert "mae" in report.performance
