"""The request of a release as a pydantic model, generated from the fields that its use case declares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model

from mlforge.spec.prediction import RequestField

# Control characters have no place in a key, and PostgreSQL refuses NUL in text.
_TEXT = r"^[^\x00-\x1f\x7f]*$"
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_NUMBERS: dict[str, type] = {"integer": int, "number": float}
_WIDEST_INTEGER = 2**53  # what every JSON reader holds exactly


class RequestBody(BaseModel):
    """Strict base of every request: an unknown field, another type, NaN and infinity are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True, protected_namespaces=())

    def values_by_name(self) -> dict[str, Any]:
        """Return the request's fields as Python values, times in UTC."""
        return {(field.alias or name): _in_utc(getattr(self, name)) for name, field in type(self).model_fields.items()}


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def request_model(name: str, fields: Mapping[str, RequestField]) -> type[RequestBody]:
    """Return the model of a request with those fields.

    A field is kept under a name of its own and spoken to by its alias, so that no field name can hide a method.

    Args:
        name: Name of the model in the OpenAPI document.
        fields: Field name → its declaration.
    """
    definitions: dict[str, Any] = {f"field_{field}": _definition(field, fields[field]) for field in fields}
    example: Any = {field: fields[field].example for field in fields}
    model = create_model(name, __base__=RequestBody, **definitions)
    model.model_config["json_schema_extra"] = {"examples": [example]}
    model.model_rebuild(force=True)
    return model


def _definition(name: str, field: RequestField) -> tuple[Any, Any]:
    kind, limits = _type_and_limits(field)
    default = ... if field.required else None
    annotation = kind if field.required else kind | None
    return annotation, Field(
        default, alias=name, description=field.description or None, examples=[field.example], **limits
    )


def _type_and_limits(field: RequestField) -> tuple[Any, dict[str, Any]]:
    if field.type == "timestamp":
        return AwareDatetime, {"ge": _EARLIEST, "le": _LATEST}
    if field.type == "boolean":
        return bool, {}
    if field.type in _NUMBERS:
        limits: dict[str, Any] = {"ge": field.minimum, "le": field.maximum}
        if field.type == "integer":
            limits = {
                "ge": -_WIDEST_INTEGER if field.minimum is None else int(field.minimum),
                "le": _WIDEST_INTEGER if field.maximum is None else int(field.maximum),
            }
        return _NUMBERS[field.type], {key: value for key, value in limits.items() if value is not None}
    if field.allowed:
        return Literal[tuple(field.allowed)], {}
    return str, {"min_length": 1, "max_length": field.max_length, "pattern": _TEXT}


def explain(error: ValidationError) -> tuple[str, str]:
    """Return the field that is wrong and why, in words for the caller; `body` where it is the whole.

    Args:
        error: What validating the body raised; its first problem is told, the others are counted.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    message = {
        "extra_forbidden": "there is no such field",
        "missing": "this field is required",
        "json_invalid": f"no valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}",
    }.get(first["type"], first["msg"])
    rest = error.error_count() - 1
    return field, message + (f" (and {rest} more)" if rest else "")
