"""The service of any release: what it serves is said by the `release.json` that lies beside it in the bento.

POST /predict       a request → probability and label, or a regression's value; receipt
POST /score         feature columns → scores; the gateway does not route it
GET  /info          which release, which model
GET  /openapi.json  the API's description;  GET /docs  the same for people
GET  /livez /readyz
"""

import asyncio
import gc
import logging
import os
import time
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mlforge.serving.answers import failed, unavailable, wrong_request
from mlforge.serving.manifest import Manifest
from mlforge.serving.openapi import openapi_document, reference_page
from mlforge.serving.request_model import explain, request_model
from mlforge.spec import UseCase
from mlforge.spec.loading import read_use_case
from mlforge.spec.module import load_model_module

FOLDER = Path(__file__).parent
MANIFEST = Manifest.read(FOLDER)
RELEASE_ID = int(os.environ.get("MLFORGE_RELEASE_ID", MANIFEST.release_id))
KEY_HEADER = "x-mlforge-key"
WARM_UP_SECONDS = 60.0
PredictBody = request_model("PredictRequest", MANIFEST.request)
DOCUMENT = openapi_document(MANIFEST, PredictBody)

# A wrong request is the caller's affair, not one for the log; BentoML would write a traceback for each.
logging.getLogger("bentoml.serve").setLevel(logging.ERROR)


class ScoreBody(BaseModel):
    """Feature columns of equal length, by name."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, list[Any]]


class _Parsed(bentoml.IODescriptor):
    """An input that is parsed in one pass; a body that is wrong reaches the endpoint as the answer to it."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        arrived = time.perf_counter()
        try:
            body: Any = cls.model_validate_json(await request.body())
        except ValidationError as error:
            body = wrong_request(*explain(error))
        return body, request.headers.get(KEY_HEADER), arrived

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        # BentoML's own description knows OpenAPI 3.0 only, which has no `examples` in a schema.
        schema = super().model_json_schema(*args, **kwargs)
        return {key: value for key, value in schema.items() if key != "examples"}


class Predict(_Parsed, PredictBody):
    """The request of this release."""


class Score(_Parsed, ScoreBody):
    """Feature columns."""


def _classes() -> dict[str, Any]:
    if MANIFEST.task == "regression":
        return {"unit": MANIFEST.unit}
    return {"labels": MANIFEST.labels, "threshold": MANIFEST.threshold}


async def _info(_: Request) -> JSONResponse:
    return JSONResponse(
        {
            "use_case": MANIFEST.use_case,
            "release": RELEASE_ID,
            "bento": MANIFEST.bento,
            "model_name": MANIFEST.model_name,
            "model_version": MANIFEST.model_version,
            "model_uri": MANIFEST.model_uri,
            "feature_service": MANIFEST.feature_service,
            "task": MANIFEST.task,
            **_classes(),
        }
    )


async def _openapi(_: Request) -> JSONResponse:
    return JSONResponse(DOCUMENT)


async def _docs(_: Request) -> HTMLResponse:
    return HTMLResponse(reference_page(DOCUMENT))


pages = Starlette(routes=[Route("/info", _info), Route("/openapi.json", _openapi), Route("/docs", _docs)])


@bentoml.service(
    name=f"{MANIFEST.use_case}_release",
    workers=1,
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    monitoring={"enabled": False},
    metrics={"enabled": True},
)
@bentoml.asgi_app(pages, path="/")
class ReleaseService:
    """One release behind HTTP; heavy parts are loaded in the worker only, not in the process that watches it."""

    @bentoml.on_startup
    async def load(self) -> None:
        """Load the model, and warm up features and receipts; requests that come meanwhile wait."""
        from mlforge.scoring import ScoringModel
        from mlforge.serving.predictor import Predictor
        from mlforge.serving.receipts import ReceiptWriter
        from mlforge.serving.worker import end_with_parent

        end_with_parent()
        use_case = read_use_case(FOLDER / MANIFEST.use_case_folder / MANIFEST.use_case)
        # First: an estimator of the use case's own is found by the name of its module.
        code = load_model_module(use_case)
        receipts = ReceiptWriter()
        await receipts.open()
        self.predictor = Predictor(
            manifest=MANIFEST,
            release_id=RELEASE_ID,
            model=ScoringModel.load(FOLDER / MANIFEST.model_folder, use_case.training.trusted_types),
            code=code,
            read_features=_feature_reader(use_case),
            receipts=receipts,
        )
        if not await self.predictor.ready(seconds=WARM_UP_SECONDS):
            logging.getLogger("mlforge.serving").warning("features or receipts are not to be had yet")
        # What is loaded now stays: the collector need not walk through it again, for 0.2 s in the midst of requests.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    async def unload(self) -> None:
        """Commit the receipts that wait."""
        await self.predictor.receipts.close()

    async def __is_ready__(self) -> bool:
        return await self.predictor.ready()

    @bentoml.api(route="/predict")
    async def predict(self, body: Predict, /) -> dict[str, Any]:
        """Predict for one request."""
        from mlforge.errors import ServiceUnavailableError
        from mlforge.serving.predictor import RequestError

        parsed, key_name, arrived = body
        if isinstance(parsed, Response):
            return parsed
        try:
            answer = await self.predictor.predict(parsed.values_by_name(), key_name=key_name, arrived=arrived)
        except RequestError as error:
            return wrong_request(error.field, str(error))
        except ServiceUnavailableError as error:
            return unavailable(error.what)
        except Exception:
            logging.getLogger("mlforge.serving").exception("a prediction failed")
            return failed()
        return JSONResponse(answer)

    @bentoml.api(route="/score")
    async def score(self, body: Score, /) -> dict[str, Any]:
        """Score rows whose features are given whole."""
        from mlforge.errors import FeatureError
        from mlforge.serving.predictor import RequestError

        parsed, _, _ = body
        if isinstance(parsed, Response):
            return parsed
        try:
            return JSONResponse({"release": RELEASE_ID, "scores": self.predictor.score(parsed.columns)})
        except RequestError as error:
            return wrong_request(error.field, str(error))
        except FeatureError as error:
            return wrong_request("columns", error.what)


def _feature_reader(use_case: UseCase) -> Any:
    """Return the function that reads a request's online features; without a plan it asks the registry first."""
    from mlforge.features.on_demand import OnDemand
    from mlforge.features.plan import read_plan
    from mlforge.features.reader import OnlineReader
    from mlforge.serving.predictor import OnlineFeatures

    on_demand = OnDemand(use_case)
    readers: list[OnlineReader] = []
    resolving = asyncio.Lock()

    async def read(known: dict[str, Any]) -> OnlineFeatures:
        if not readers:
            async with resolving:
                if not readers:
                    plan = await asyncio.to_thread(read_plan, FOLDER, use_case.feature_service)
                    readers.append(OnlineReader(plan, use_case.prediction.moment, on_demand=on_demand))
        return OnlineFeatures(*await readers[0].read(known))

    return read
