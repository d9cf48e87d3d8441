"""HTTP answers of a release's server, errors included: always JSON, never internals."""

from __future__ import annotations

from starlette.responses import JSONResponse

RETRY_AFTER_SECONDS = 1


def wrong_request(field: str, message: str) -> JSONResponse:
    """Return the answer to a request that is wrong: 400 with the field named."""
    return JSONResponse({"error": {"field": field, "message": message}}, status_code=400)


def unavailable(reason: str) -> JSONResponse:
    """Return the answer while something that an answer needs is away: 503 with the reason."""
    return JSONResponse(
        {"error": {"field": None, "message": reason}},
        status_code=503,
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )


def failed() -> JSONResponse:
    """Return the answer to a request that met a defect of ours."""
    return JSONResponse(
        {"error": {"field": None, "message": "the server failed; the operator finds the cause in its log"}},
        status_code=500,
    )
