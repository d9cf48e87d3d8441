"""The request model that is generated from a use case's fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlforge.serving.request_model import explain, request_model
from mlforge.spec import load_use_case
from mlforge.spec.prediction import RequestField

FIELDS = load_use_case("flight_delays").prediction.request
MODEL = request_model("PredictRequest", FIELDS)
EXAMPLE = {name: field.example for name, field in FIELDS.items()}


def test_the_declared_example_is_valid_and_its_times_are_utc() -> None:
    body = MODEL.model_validate_json(json.dumps({**EXAMPLE, "scheduled_departure": "2013-04-01T20:15:00-04:00"}))
    values = body.values_by_name()
    assert list(values) == list(FIELDS)
    assert values["scheduled_departure"] == datetime(2013, 4, 2, 0, 15, tzinfo=UTC)
    assert values["scheduled_departure"].tzinfo is UTC


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"origin": "XXX"}, "origin", "'EWR', 'JFK' or 'LGA'"),
        ({"flight": 1.5}, "flight", "integer"),
        ({"flight": True}, "flight", "integer"),
        ({"flight": 10_000}, "flight", "9999"),
        ({"carrier": ""}, "carrier", "at least 1"),
        ({"carrier": "UAA"}, "carrier", "at most 2"),
        ({"carrier": None}, "carrier", "string"),
        ({"tailnum": "N1\x00"}, "tailnum", "pattern"),
        ({"scheduled_departure": 1364861700}, "scheduled_departure", "datetime"),
        ({"scheduled_departure": "2013-04-02"}, "scheduled_departure", "datetime"),
        ({"scheduled_departure": "1800-01-01T00:00:00Z"}, "scheduled_departure", "1900"),
        ({"wings": 2}, "wings", "no such field"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.model_validate_json(json.dumps({**EXAMPLE, **change}))
    named, said = explain(caught.value)
    assert named == field
    assert message in said


def test_a_body_that_is_no_json_is_explained() -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.model_validate_json(b'{"carrier')
    named, said = explain(caught.value)
    assert named == "body"
    assert said.startswith("no valid JSON")


def test_further_problems_are_counted() -> None:
    with pytest.raises(ValidationError) as caught:
        MODEL.model_validate_json(b"{}")
    assert explain(caught.value)[1] == "this field is required (and 4 more)"


def test_field_names_that_a_model_has_itself_are_no_matter() -> None:
    names = ["copy", "schema", "model_fields", "json"]
    model = request_model("Odd", {name: RequestField(type="number", example=1.5) for name in names})
    assert model.model_validate_json(json.dumps(dict.fromkeys(names, 2.0))).values_by_name() == dict.fromkeys(
        names, 2.0
    )


def test_numbers_must_be_finite() -> None:
    model = request_model("Number", {"amount": RequestField(type="number", example=1.5, minimum=0)})
    for text in (b'{"amount": NaN}', b'{"amount": Infinity}', b'{"amount": "1"}', b'{"amount": -0.5}'):
        with pytest.raises(ValidationError):
            model.model_validate_json(text)


def test_the_schema_tells_examples_ranges_and_choices() -> None:
    schema = MODEL.model_json_schema()
    assert schema["examples"] == [EXAMPLE]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["origin"]["enum"] == ["EWR", "JFK", "LGA"]
    assert schema["properties"]["flight"]["maximum"] == 9999
    assert "tailnum" not in schema["required"]


_PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aZ9-:é\x00\ud800", max_size=5)
)
_JSON = _PLAIN | st.lists(_PLAIN, max_size=2) | st.dictionaries(st.text("ab", max_size=2), _PLAIN, max_size=2)


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), _JSON))
def test_any_body_is_taken_or_explained(body: dict[str, Any]) -> None:
    try:
        MODEL.model_validate_json(json.dumps({**EXAMPLE, **body}))
    except ValidationError as error:
        field, message = explain(error)
        assert field
        assert message
