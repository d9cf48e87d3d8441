"""The description of a release's API: OpenAPI 3.1 for programs, one page without scripts for people."""

from __future__ import annotations

import html
import json
from typing import Any

from mlforge.serving.manifest import Manifest
from mlforge.serving.request_model import RequestBody
from mlforge.spec.task import Task

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["field", "message"],
            "properties": {"field": {"type": ["string", "null"]}, "message": {"type": "string"}},
        }
    },
}
_EXAMPLE_SCORES: dict[Task, float] = {"classification": 0.23, "regression": 42.5}
_ERRORS = {
    "400": "The body is wrong; the field is named.",
    "401": "The API key is missing, expired or not ours.",
    "403": "The API key may not use this use case, or was revoked.",
    "413": "The body is larger than 1 MB.",
    "503": "Features or receipts cannot be had now; try again after the seconds in the header retry-after.",
}


def openapi_document(manifest: Manifest, body: type[RequestBody]) -> dict[str, Any]:
    """Return the OpenAPI document of a release as its callers see it, behind the gateway."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.title,
            "description": manifest.description.strip(),
            "version": f"release {manifest.release_id}, model {manifest.model_version}",
        },
        "servers": [{"url": "/"}],
        "security": [{"api_key": []}],
        "paths": {
            f"/{manifest.use_case}/predict": {"post": _predict(manifest)},
            f"/{manifest.use_case}/info": {
                "get": {"summary": "Which release answers", "responses": {"200": {"description": "The release."}}}
            },
        },
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": {
                "PredictRequest": body.model_json_schema(ref_template="#/components/schemas/{model}"),
                "Prediction": _answer_schema(manifest),
                "Error": _ERROR,
            },
        },
    }


def _predict(manifest: Manifest) -> dict[str, Any]:
    errors = {code: {"description": text, "content": _content("Error")} for code, text in _ERRORS.items()}
    return {
        "summary": manifest.title,
        "operationId": f"{manifest.use_case}_predict",
        "requestBody": {"required": True, "content": _content("PredictRequest")},
        "responses": {"200": {"description": "The prediction.", "content": _content("Prediction")}, **errors},
    }


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _answer_schema(manifest: Manifest) -> dict[str, Any]:
    said = _what_is_said(manifest)
    example = {
        **manifest.answer(_EXAMPLE_SCORES[manifest.task]),
        "model_version": manifest.model_version,
        "release": manifest.release_id,
        "receipt_id": "019536f0-7b2c-7c1e-a2b4-3f1f0e9d8c7b",
        "flags": [],
    }
    return {
        "type": "object",
        "required": list(example),
        "properties": {
            **said,
            "model_version": {"type": "integer"},
            "release": {"type": "integer"},
            "receipt_id": {"type": "string", "format": "uuid", "description": "`mlforge trace` walks from it."},
            "flags": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What the answer lacks: a feature that is missing or stale, a category never seen.",
            },
        },
        "examples": [example],
    }


def _what_is_said(manifest: Manifest) -> dict[str, Any]:
    """Return the fields of an answer that are the prediction itself."""
    if manifest.task == "classification":
        description = f"Probability of `{manifest.labels[1]}`, calibrated."
        return {
            "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": description},
            "label": {"type": "string", "enum": manifest.labels},
        }
    value = {"value": {"type": "number", "description": "What the model expects."}}
    return value | ({} if manifest.unit is None else {"unit": {"type": "string", "enum": [manifest.unit]}})


def reference_page(document: dict[str, Any]) -> str:
    """Return the page for people: each field, an example to copy, the answers. No script, nothing from elsewhere."""
    request = document["components"]["schemas"]["PredictRequest"]
    path = next(iter(document["paths"]))
    example = json.dumps(request["examples"][0])
    rows = "".join(
        _row(name, field, name in request.get("required", [])) for name, field in request["properties"].items()
    )
    answers = "".join(
        f"<tr><td>{code}</td><td>{html.escape(answer['description'])}</td></tr>"
        for code, answer in document["paths"][path]["post"]["responses"].items()
    )
    command = f"curl $GATEWAY{path} -H \"x-api-key: $KEY\" -H 'content-type: application/json' \\\n  -d '{example}'"
    title = html.escape(document["info"]["title"])
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #ccc}}
pre{{background:#f4f4f4;padding:1rem;white-space:pre-wrap}}</style>
<h1>{title}</h1><p>{html.escape(document["info"]["description"])}</p>
<p>{html.escape(document["info"]["version"])} · <a href="docs.json">OpenAPI document</a></p>
<h2>POST {html.escape(path)}</h2><pre>{html.escape(command)}</pre>
<table><tr><th>Field</th><th>Type</th><th>Required</th><th>Meaning</th></tr>{rows}</table>
<h2>Answers</h2><table>{answers}</table></html>"""


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    kinds = field.get("anyOf", [field])
    kind = kinds[0].get("format") or kinds[0].get("type") or ""
    if "enum" in kinds[0]:
        kind = ", ".join(str(value) for value in kinds[0]["enum"])
    cells = [f"<code>{html.escape(name)}</code>", html.escape(str(kind)), "yes" if required else "no"]
    cells.append(html.escape(field.get("description", "")))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
