"""What each stage is told to read and write, from refs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlforge import storage
from mlforge.lineage import names
from mlforge.lineage.stage_lineage import StageLineage, Work, describe_stage
from mlforge.refs import (
    Candidate,
    CheckedPartition,
    Deployment,
    DriftReport,
    FeaturePartition,
    GateDecision,
    PartitionRange,
    RawPartition,
    Release,
    TrainingSet,
)
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.stages import STAGES

DAYS = PartitionRange.parse("2013-04-01")
BASE: dict[str, Any] = {
    "use_case": "flight_delays", "partition_key": "2013-04-01", "rows": 10, "content_hash": "c" * 64,
    "code_version": "v",
}  # fmt: skip


def ref(uri: str) -> dict[str, Any]:
    return {**BASE, "uri": uri}


RAW = RawPartition(
    **ref("s3://b/raw/flight_delays/flights/2013-04-01/c.parquet"), dataset="flights", source_uri="/f.csv"
)
CHECKED = CheckedPartition(
    **ref("staging.x"), dataset="flights", attempt=1, rows_in=10, rows_quarantined=0, rows_duplicate=0,
    raw_uri=RAW.uri, raw_hash="r",
)  # fmt: skip
FEATURES = FeaturePartition(**ref("postgresql:features"), views={"weather": 4, "planes": 6}, changed=2)
EXAMPLES = TrainingSet(
    **ref("s3://b/training_sets/flight_delays/e.parquet"), as_of="2013-04-02T00:00:00Z", feature_service="f",
    publications={},
)  # fmt: skip
CANDIDATE = Candidate(
    **ref("models:/m-1"), run_id="r", model_name="flight_delays", model_version=3, training_set=EXAMPLES, metrics={},
    baselines={},
)  # fmt: skip
DECISION = GateDecision(
    **ref("s3://b/promotion_cards/flight_delays/d.md"), passed=True, reasons=(), candidate=CANDIDATE,
    champion_release=None,
)  # fmt: skip
RELEASE = Release(
    **ref("models:/m-1"), release_id=7, model_name="flight_delays", model_version=3, bento="flight_delays:r7",
    feature_service="f", parent_id=None,
)  # fmt: skip
DEPLOYMENT = Deployment(
    **ref("http://127.0.0.1:8000/flight_delays/predict"), release_id=7, deployment_id=1, port=3100, smoke_requests=20
)
REPORT = DriftReport(**ref("s3://b/reports/flight_delays/k/h.html"), drifted=(), scores={}, performance={})
MODEL, ASSET = "flight_delays", "mlforge://flight_delays"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(names, "get_settings", lambda: Settings(home=tmp_path))
    monkeypatch.setattr("mlforge.lineage.data_stages.file_size", lambda uri: 99)
    monkeypatch.setattr("mlforge.lineage.reading.parquet_columns", lambda uri: [])


def told(use_case: UseCase, stage: str, given: Any, result: Any) -> StageLineage:
    return describe_stage(Work(stage, use_case, DAYS, given, result, done=True))


@pytest.mark.parametrize(
    ("stage", "given", "result", "reads", "writes"),
    [
        ("extract", None, RAW, ["/f.csv"], ["raw/flight_delays/flights"]),
        ("materialize", FEATURES, FEATURES, ["mlforge.features.flight_delays__planes",
         "mlforge.features.flight_delays__weather"], ["planes", "weather"]),
        ("assemble", None, EXAMPLES,
         ["mlforge.features.flight_delays__carrier_delays", "mlforge.features.flight_delays__origin_hour_delays",
          "mlforge.features.flight_delays__planes", "mlforge.features.flight_delays__route_delays",
          "mlforge.features.flight_delays__tail_delays", "mlforge.features.flight_delays__weather",
          "mlforge.warehouse.flight_delays__flights"], ["training_sets/flight_delays"]),
        ("train", EXAMPLES, CANDIDATE, ["training_sets/flight_delays"], [MODEL]),
        ("evaluate", CANDIDATE, CANDIDATE, [MODEL, "training_sets/flight_delays"], []),
        ("gate", CANDIDATE, DECISION, [MODEL, "training_sets/flight_delays"], ["promotion_cards/flight_delays"]),
        ("promote", DECISION, RELEASE, [MODEL, "promotion_cards/flight_delays"], ["champion"]),
        ("package", None, RELEASE, ["champion", MODEL], [MODEL]),
        ("verify", RELEASE, RELEASE, [MODEL], []),
        ("roll-out", RELEASE, DEPLOYMENT, [MODEL], ["flight_delays/predict"]),
        ("drift", EXAMPLES, REPORT, ["mlforge.ledger.outcomes", "mlforge.ledger.predictions",
         "training_sets/flight_delays"], ["reports/flight_delays"]),
        ("join-outcomes", None, None, ["mlforge.ledger.predictions", "mlforge.warehouse.flight_delays__flights"],
         ["mlforge.ledger.outcomes"]),
        ("alert", REPORT, None, ["reports/flight_delays"], ["mlforge.ledger.alerts"]),
    ],
)  # fmt: skip
def test_a_stage_reads_and_writes(
    flight_delays: UseCase, stage: str, given: Any, result: Any, reads: list[str], writes: list[str]
) -> None:
    lineage = told(flight_delays, stage, given, result)
    assert sorted(dataset.name for dataset in lineage.inputs) == reads
    assert sorted(dataset.name for dataset in lineage.outputs) == writes


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_that_has_only_begun_looks_nothing_up(
    flight_delays: UseCase, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr("mlforge.db.connect", refuse)
    monkeypatch.setattr(storage, "filesystem", refuse)
    given = {"RawPartition": RAW, "CheckedPartition": CHECKED, "FeaturePartition": FEATURES, "TrainingSet": EXAMPLES,
             "Candidate": CANDIDATE, "GateDecision": DECISION, "Release": RELEASE, "DriftReport": REPORT}  # fmt: skip
    lineage = describe_stage(Work(stage, flight_delays, given=given.get(STAGES[stage].input or "")))
    assert lineage.job_facets["ownership"]
    assert not any("columnLineage" in (dataset.facets or {}) for dataset in lineage.outputs)


def test_the_model_comes_from_the_training_set_column_by_column(flight_delays: UseCase) -> None:
    [model] = told(flight_delays, "train", EXAMPLES, CANDIDATE).outputs
    assert model.facets["version"].datasetVersion == "3"
    fields = model.facets["columnLineage"].fields
    assert fields["label"].inputFields[0].field == "arr_delay"
    assert fields["planes__seats"].inputFields[0].name == "training_sets/flight_delays"


def test_a_training_set_comes_from_the_tables_joined(flight_delays: UseCase) -> None:
    [examples] = told(flight_delays, "assemble", None, EXAMPLES).outputs
    lineage = examples.facets["columnLineage"]
    found = {(item.field, way.subtype) for item in lineage.fields["planes__seats"].inputFields
             for way in item.transformations}  # fmt: skip
    assert found >= {("seats", "IDENTITY"), ("tailnum", "JOIN"), ("known_at", "JOIN")}
    assert {item.field for item in lineage.dataset} == {"event_timestamp", "known_at", "arr_delay"}
    assert examples.outputFacets["outputStatistics"].size == 99


def test_a_stage_that_failed_wrote_nothing(flight_delays: UseCase) -> None:
    work = Work("materialize", flight_delays, DAYS, FEATURES, None, done=True, failed=True)
    assert describe_stage(work).outputs == []


def test_code_is_placed_without_credentials(
    flight_delays: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "include" / "use_cases" / "flight_delays"
    folder.mkdir(parents=True)
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
    (git / "config").write_text('[remote "origin"]\n\turl = https://me:secret@code.example/team/forge.git\n')
    monkeypatch.setattr("mlforge.settings.get_settings", lambda: Settings(root=tmp_path))
    moved = flight_delays.model_copy()
    moved._folder = folder
    from mlforge.lineage.facets import code_location

    location = code_location(moved)["sourceCodeLocation"]
    assert location.repoUrl == "https://code.example/team/forge.git"
    assert location.path == "include/use_cases/flight_delays"
    assert location.version == "0123456789abcdef0123456789abcdef01234567"
