"""Requests that run at once: each gets its own score, whoever it was computed with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from test_serving_parts import RELEASE

from mlforge.errors import ServiceUnavailableError
from mlforge.scoring import Feature, ModelDescription, PlattCalibration, ScoringModel
from mlforge.scoring.formats.xgboost_trees import XGBoostTrees
from mlforge.serving.manifest import Manifest
from mlforge.serving.predictor import OnlineFeatures, Predictor
from mlforge.serving.receipts import Receipt, ReceiptWriter
from mlforge.spec import load_use_case
from mlforge.spec.module import load_model_module


class _Kept(ReceiptWriter):
    def __init__(self) -> None:
        self.receipts: list[Receipt] = []

    async def write(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)


@pytest.fixture(scope="module")
def model() -> ScoringModel:
    import xgboost

    generator = np.random.default_rng(1)
    matrix = generator.integers(0, 24, size=(400, 2)).astype(np.float32)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(matrix, label=matrix.sum(axis=1)), num_boost_round=10)
    features = (Feature(name="sched_hour", kind="number"), Feature(name="weather__temp", kind="number"))
    calibration = PlattCalibration(slope=0.1, intercept=-2.0)
    return ScoringModel(
        XGBoostTrees(booster), ModelDescription(features=features, calibration=calibration, labels=("a", "b")), "h"
    )


def _predictor(model: ScoringModel, read: Any) -> Predictor:
    use_case = load_use_case("flight_delays")
    return Predictor(Manifest.of(use_case, RELEASE), 7, model, load_model_module(use_case), read, _Kept())


def test_rows_scored_together_have_the_scores_of_each_alone(model: ScoringModel) -> None:
    async def read(known: Mapping[str, Any]) -> OnlineFeatures:
        return OnlineFeatures({"weather__temp": known["sched_hour"] / 2}, {})

    predictor = _predictor(model, read)
    requests = [{"scheduled_departure": datetime(2013, 4, 2, hour, tzinfo=UTC)} for hour in range(24)]

    async def ask() -> list[dict[str, Any]]:
        return await asyncio.gather(*(predictor.predict(each, key_name=None, arrived=0.0) for each in requests))

    answers = asyncio.run(ask())
    derived = [predictor._derive(each)["sched_hour"] for each in requests]
    alone = [float(model.score({"sched_hour": [hour], "weather__temp": [hour / 2]})[0]) for hour in derived]
    assert [answer["probability"] for answer in answers] == alone


def test_a_function_that_blocks_is_called_in_a_thread(model: ScoringModel) -> None:
    predictor = _predictor(model, lambda known: OnlineFeatures({"weather__temp": 1.0}, {}, ["stale:weather"]))
    request = {"scheduled_departure": datetime(2013, 4, 2, tzinfo=UTC)}
    assert asyncio.run(predictor.predict(request, key_name=None, arrived=0.0))["flags"] == ["stale:weather"]


def test_features_that_cannot_be_read_are_an_outage(model: ScoringModel) -> None:
    async def read(known: Mapping[str, Any]) -> OnlineFeatures:
        raise RuntimeError("lost")

    predictor = _predictor(model, read)
    with pytest.raises(ServiceUnavailableError, match="cannot be read"):
        asyncio.run(
            predictor.predict({"scheduled_departure": datetime(2013, 4, 2, tzinfo=UTC)}, key_name=None, arrived=0.0)
        )
