"""Candidates and decisions for tests of the release ledger: real models in MLflow, made without training's minutes."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from psycopg.types.json import Jsonb

from mlforge import db
from mlforge.db import ledger
from mlforge.refs import Candidate, GateDecision, TrainingSet
from mlforge.registry.card import PromotionCard
from mlforge.scoring import METADATA_KEY, Feature, ModelDescription, PlattCalibration, model_hash

NAME = "flight_delays"
FINGERPRINTS = {"contracts": "c1", "features": "f1", "settings": "s1", "model": "m1", "library": "l1"}


def make_candidate(rounds: int = 2, *, columns: tuple[str, ...] = ("distance", "hour"), **inputs: str) -> Candidate:
    """Log and register a small model; each call is a version of its own.

    Args:
        rounds: Trees; another number is another model.
        columns: What it reads.
        inputs: Fingerprints that differ from the usual ones.
    """
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelStatus
    from mlflow.exceptions import MlflowException

    client, content = MlflowClient(), _trees(rounds, len(columns))
    description = ModelDescription(
        features=tuple(Feature(name=name, kind="number") for name in columns),
        calibration=PlattCalibration(slope=1.0, intercept=0.0),
        labels=("on time", "late"),
        model_sha256=hashlib.sha256(content).hexdigest(),
    )
    found = client.get_experiment_by_name(NAME)
    experiment = found.experiment_id if found else client.create_experiment(NAME)
    run = client.create_run(experiment)
    client.log_param(run.info.run_id, "n_estimators", rounds)
    model = client.create_logged_model(experiment, name=NAME, source_run_id=run.info.run_id)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.ubj").write_bytes(content)
        document = {"model_id": model.model_id, "metadata": {METADATA_KEY: description.model_dump(mode="json")}}
        Path(folder, "MLmodel").write_text(yaml.safe_dump(document))
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_terminated(run.info.run_id)
    with suppress(MlflowException):
        # It is there already from the second candidate on.
        client.create_registered_model(NAME)
    uri = f"models:/{model.model_id}"
    made = client.create_model_version(NAME, uri, run.info.run_id, model_id=model.model_id, await_creation_for=0)
    return Candidate(
        use_case=NAME,
        partition_key="2013-02-10",
        uri=uri,
        rows=100,
        content_hash=model_hash(content, description),
        code_version="0" * 12,
        run_id=run.info.run_id,
        model_name=NAME,
        model_version=int(made.version),
        training_set=_training_set(),
        metrics={},
        baselines={},
        fingerprints={**FINGERPRINTS, **inputs},
    )


def _trees(rounds: int, columns: int) -> bytes:
    from xgboost import DMatrix, train

    generator = np.random.default_rng(rounds)
    rows = generator.random((200, columns))
    labels = (rows[:, 0] + generator.random(200) / 2 > 0.7).astype(float)
    settings = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
    return bytes(train(settings, DMatrix(rows, labels), num_boost_round=rounds).save_raw("ubj"))


def _training_set() -> TrainingSet:
    return TrainingSet(
        use_case=NAME,
        partition_key="2013-02-10",
        uri="file:///training_sets/none.parquet",
        rows=100,
        content_hash="1" * 64,
        code_version="0" * 12,
        as_of=datetime(2013, 2, 11, tzinfo=UTC),
        feature_service=NAME,
        publications={"flights": 1},
    )


def decide(candidate: Candidate, *, passed: bool = True) -> GateDecision:
    """Write down a decision about a candidate beside the champion of now, as the gate does, and return it."""
    champion = ledger.champion(candidate.use_case)
    beside = champion.release_id if champion else None
    decision = GateDecision(
        use_case=candidate.use_case,
        partition_key=candidate.partition_key,
        uri=f"file:///cards/{candidate.model_version}-{beside}.md",
        rows=100,
        content_hash="0" * 64,
        code_version=candidate.code_version,
        passed=passed,
        reasons=() if passed else ("log_loss 0.5 ≥ 0.4",),
        candidate=candidate,
        champion_release=beside,
    )
    card = PromotionCard.model_validate(
        {
            "use_case": decision.use_case,
            "passed": passed,
            "checks": [{"name": "beats base_rate", "passed": passed, "detail": "log_loss 0.4 beside 0.5"}],
            "candidate": candidate.dump(),
            "champion": champion.dump() if champion else None,
            "comparison": None,
            "metrics": {"log_loss": 0.4},
            "champion_metrics": None,
            "rows": 100,
            "window": ["2013-02-01T00:00", "2013-02-10T23:00"],
            "gates": {},
        }
    )
    evidence = card.model_dump(mode="json")
    with db.connect() as connection:
        connection.execute(
            """
            INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, champion_release,
                                               passed, reasons, evidence, card_uri)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                *(decision.use_case, decision.partition_key, candidate.model_name, candidate.model_version, beside),
                *(passed, Jsonb(list(decision.reasons)), Jsonb(evidence), decision.uri),
            ],
        )
    return decision
