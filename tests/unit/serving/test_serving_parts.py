"""Receipts' ids and values, the manifest, the document, tags."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from mlforge.errors import ServingError
from mlforge.refs import Release
from mlforge.scoring import FormatName
from mlforge.serving.bento import bento_path, requirements
from mlforge.serving.manifest import Manifest
from mlforge.serving.openapi import openapi_document, reference_page
from mlforge.serving.receipts import Receipt, new_receipt_id, receipts_json
from mlforge.serving.request_model import request_model
from mlforge.spec import UseCase, load_use_case

RELEASE = Release(
    use_case="flight_delays",
    partition_key="2013-03-31",
    uri="models:/m-1",
    rows=1,
    content_hash="h",
    code_version="c",
    release_id=7,
    model_name="flight_delays",
    model_version=3,
    bento="flight_delays:v3-r7",
    feature_service="flight_delays",
    parent_id=None,
)


def test_receipt_ids_are_uuids_in_the_order_of_time() -> None:
    ids = [new_receipt_id()]
    for _ in range(3):
        time.sleep(0.002)
        ids.append(new_receipt_id())
    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}
    assert {each.variant for each in ids} == {"specified in RFC 4122"}
    assert len({new_receipt_id() for _ in range(1000)}) == 1000


def test_a_receipt_is_json_with_missing_numbers_as_null() -> None:
    row = Receipt(
        receipt_id=UUID(int=1),
        use_case="flight_delays",
        release_id=1,
        model_version=1,
        moment=datetime(2013, 4, 2, tzinfo=UTC),
        request={"scheduled_departure": datetime(2013, 4, 2, tzinfo=UTC), "tailnum": None},
        features={"a": math.nan, "b": np.float64(0.1), "c": np.int64(3), "d": "UA"},
        feature_times={"weather": None, "planes": datetime(2013, 1, 1, tzinfo=UTC)},
        score=0.1,
        label="late",
        latency_ms=1.5,
        flags=("missing:weather",),
    ).row()
    read = json.loads(json.dumps(row, allow_nan=False))
    assert read["features"] == {"a": None, "b": 0.1, "c": 3, "d": "UA"}
    assert read["feature_times"] == {"weather": None, "planes": "2013-01-01T00:00:00+00:00"}
    assert read["flags"] == ["missing:weather"]
    assert read["score"] == 0.1


def test_a_manifest_is_read_as_it_was_written(flight_delays: UseCase, tmp_path: Path) -> None:
    manifest = Manifest.of(flight_delays, RELEASE)
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    (tmp_path / "release.json").write_text("{}")
    with pytest.raises(ServingError, match=r"release\.json"):
        Manifest.read(tmp_path)


def test_the_document_tells_every_answer_and_the_page_needs_nothing_else(flight_delays: UseCase) -> None:
    manifest = Manifest.of(flight_delays, RELEASE)
    document = openapi_document(manifest, request_model("PredictRequest", manifest.request))
    assert json.loads(json.dumps(document)) == document
    responses = document["paths"]["/flight_delays/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "413", "503"}
    page = reference_page(document)
    assert "<script" not in page
    assert "http" not in page
    assert "scheduled_departure" in page


@pytest.mark.parametrize("tag", ["", "name", "name:", ":v1", "a/b:v1", "a:../../x", "a:.v"])
def test_a_tag_cannot_lead_elsewhere(tag: str) -> None:
    with pytest.raises(ServingError):
        bento_path(tag)


@pytest.mark.parametrize(
    ("model", "needed"), [("xgboost", {"xgboost"}), ("lightgbm", {"lightgbm"}), ("sklearn", {"scikit-learn", "skops"})]
)
def test_requirements_are_pinned_and_those_of_the_model(model: FormatName, needed: set[str]) -> None:
    lines = requirements(model).splitlines()
    assert all("==" in line for line in lines)
    named = {line.partition("==")[0] for line in lines}
    assert named & {"xgboost", "lightgbm", "scikit-learn", "skops"} == needed


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_receipts_are_the_same_json_at_once_and_value_by_value(unknown: float | None) -> None:
    receipt = Receipt(
        receipt_id=UUID(int=1),
        use_case="flight_delays",
        release_id=1,
        model_version=1,
        moment=datetime(2013, 4, 2, tzinfo=UTC),
        request={"scheduled_departure": datetime(2013, 4, 2, tzinfo=UTC), "tailnum": None},
        features={"a": unknown, "b": np.float64(0.1), "c": np.int64(3), "d": "UA"},
        feature_times={"weather": None, "planes": datetime(2000, 1, 1, tzinfo=UTC)},
        score=0.25,
        label="on_time",
        latency_ms=1.5,
        flags=("missing:weather",),
    )
    assert json.loads(receipts_json([receipt, receipt])) == [receipt.row()] * 2


def test_a_regression_answers_with_a_value_and_its_document_says_so() -> None:
    use_case = load_use_case("household_spend")
    manifest = Manifest.of(use_case, RELEASE.model_copy(update={"use_case": use_case.name}))
    assert manifest.answer(12.5) == {"value": 12.5, "unit": "USD"}
    assert manifest.label(12.5) is None
    assert manifest.model_copy(update={"unit": None}).answer(12.5) == {"value": 12.5}
    document = openapi_document(manifest, request_model("PredictRequest", manifest.request))
    schema = document["components"]["schemas"]["Prediction"]
    assert set(schema["properties"]) == {"value", "unit", "model_version", "release", "receipt_id", "flags"}
    assert set(schema["examples"][0]) == set(schema["required"]) == set(schema["properties"])
    assert "household_spend/predict" in reference_page(document)


def test_a_manifest_of_before_there_were_regressions_is_a_classification(
    flight_delays: UseCase, tmp_path: Path
) -> None:
    written = Manifest.of(flight_delays, RELEASE).model_dump(mode="json", exclude={"task", "unit"})
    (tmp_path / "release.json").write_text(json.dumps(written), encoding="utf-8")
    manifest = Manifest.read(tmp_path)
    assert manifest.answer(0.7) == {"probability": 0.7, "label": "late"}
