"""One prediction, from a validated request to an answer with a receipt; what a release's server calls."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, cast

import numpy as np

from mlforge.errors import MLForgeError, ServiceUnavailableError
from mlforge.scoring import Matrix, ScoringModel
from mlforge.serving.manifest import Manifest
from mlforge.serving.receipts import Receipt, ReceiptWriter, new_receipt_id

FEATURE_SECONDS = 2.0
SMOKE_KEY = "smoke"
_log = logging.getLogger("mlforge.serving")


class RequestError(ValueError):
    """A request that is well-formed, but cannot be answered as it is.

    Attributes:
        field: The field that is wrong.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class OnlineFeatures:
    """Features of one request.

    Attributes:
        values: `<view>__<feature>` → value; None where there is none.
        times: View → event timestamp, UTC; None where there is no row.
        flags: What the caller should know, such as `stale:weather`.
    """

    values: Mapping[str, Any]
    times: Mapping[str, datetime | None]
    flags: Sequence[str] = ()


ReadFeatures = Callable[[Mapping[str, Any]], Awaitable[OnlineFeatures]]


@dataclass
class Predictor:
    """Answers requests of one release.

    Attributes:
        read_features: Reads the online features for a request with its derived fields.
    """

    manifest: Manifest
    release_id: int
    model: ScoringModel
    code: ModuleType
    read_features: ReadFeatures
    receipts: ReceiptWriter
    _categories: dict[str, frozenset[str]] = field(init=False)
    _awaited: bool = field(init=False)
    _unscored: list[tuple[Matrix, asyncio.Future[float]]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._awaited = inspect.iscoroutinefunction(self.read_features)
        self._categories = {feature.name: frozenset(feature.categories) for feature in self.model.features}

    async def predict(self, request: Mapping[str, Any], *, key_name: str | None, arrived: float) -> dict[str, Any]:
        """Return the answer to a request, after its receipt was committed.

        Args:
            request: Field name → value, validated.
            key_name: Name of the API key that asks.
            arrived: `time.perf_counter()` at the request's arrival.

        Raises:
            RequestError: A derived field cannot be computed from it.
            ServiceUnavailableError: Features cannot be had, or the receipt cannot be written.
        """
        known = {**request, **self._derive(request)}
        online = await self._features(known)
        columns, flags = self._columns({**known, **online.values})
        score = await self._score(columns)
        receipt = Receipt(
            receipt_id=new_receipt_id(),
            use_case=self.manifest.use_case,
            release_id=self.release_id,
            model_version=self.manifest.model_version,
            moment=request[self.manifest.moment],
            request=request,
            features={name: values[0] for name, values in columns.items()},
            feature_times=online.times,
            flags=[*online.flags, *flags],
            score=score,
            label=self.manifest.label(score),
            latency_ms=(time.perf_counter() - arrived) * 1000,
            key_name=key_name,
        )
        await self.receipts.write(receipt)
        return {
            **self.manifest.answer(score),
            "model_version": receipt.model_version,
            "release": receipt.release_id,
            "receipt_id": str(receipt.receipt_id),
            "flags": list(receipt.flags),
        }

    def score(self, columns: Mapping[str, Sequence[Any]]) -> list[float]:
        """Return the scores of rows whose feature columns are given whole, to compare with offline scores."""
        missing = [feature.name for feature in self.model.features if feature.name not in columns]
        if missing:
            raise RequestError(f"columns.{missing[0]}", "this feature is missing")
        if len({len(values) for values in columns.values()}) != 1:
            raise RequestError("columns", "the columns differ in length")
        return [float(score) for score in self.model.score(columns)]

    async def ready(self, *, seconds: float = FEATURE_SECONDS) -> bool:
        """Return whether a request would find its features and its receipt's place; warms both up.

        Args:
            seconds: How long reading the features may take; the first time is long, for it imports Feast.
        """
        example: dict[str, Any] = {name: declared.example for name, declared in self.manifest.request.items()}
        example[self.manifest.moment] = datetime.fromisoformat(str(example[self.manifest.moment]))
        try:
            known = {**example, **self._derive(example)}
            online = await self._features(known, seconds)
            columns, _ = self._columns({**known, **online.values})
            self.model.score(columns)
        except ServiceUnavailableError:
            return False
        return await self.receipts.ping()

    def _derive(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            derived = self.code.derive({name: [value] for name, value in request.items()})
        except (ValueError, OverflowError, KeyError) as error:
            _log.warning("derive refused a request: %r", error)
            raise RequestError(self.manifest.moment, "no fields can be derived from this request") from error
        return {name: values[0] for name, values in derived.items()}

    async def _features(self, known: Mapping[str, Any], seconds: float = FEATURE_SECONDS) -> OnlineFeatures:
        try:
            async with asyncio.timeout(seconds):
                if not self._awaited:
                    # A bento of an earlier version brings a function that blocks.
                    return await asyncio.to_thread(cast("Callable[..., OnlineFeatures]", self.read_features), known)
                return await self.read_features(known)
        except TimeoutError as error:
            raise ServiceUnavailableError("the online store does not answer in time") from error
        except MLForgeError as error:
            _log.warning("features cannot be had: %s", error)
            raise ServiceUnavailableError("the online features cannot be read") from error
        except Exception as error:
            _log.exception("features cannot be had")
            raise ServiceUnavailableError("the online features cannot be read") from error

    async def _score(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Return the score of one row; rows whose features came together are scored together."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[float] = loop.create_future()
        row = self.model.encode(columns)
        if not self._unscored:
            loop.call_soon(self._score_all)
        self._unscored.append((row, done))
        return await done

    def _score_all(self) -> None:
        rows, self._unscored = self._unscored, []
        try:
            scores = self.model.predict(np.concatenate([row for row, _ in rows]))
        except Exception as error:
            for _, done in rows:
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), score in zip(rows, scores, strict=True):
            if not done.done():
                done.set_result(float(score))

    def _columns(self, known: Mapping[str, Any]) -> tuple[dict[str, list[Any]], list[str]]:
        """Return the model's columns of one row, and a flag for each category that training never saw."""
        columns, flags = {}, []
        for feature in self.model.features:
            value = known.get(feature.name)
            columns[feature.name] = [value]
            if feature.kind == "category" and value is not None and value not in self._categories[feature.name]:
                flags.append(f"unseen:{feature.name}")
        return columns, flags
