from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlforge.contracts.diff import compare, suggested_version
from mlforge.errors import SpecError
from mlforge.spec import Contract, UseCase
from mlforge.spec.contract import parse_contract


@pytest.fixture
def document(flight_delays: UseCase) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(flight_delays.contract("flights").path.read_text())
    found["version"] = "1.2.3"
    return found


def contract(document: dict[str, Any]) -> Contract:
    return parse_contract(yaml.safe_dump(document, sort_keys=False), Path("flights.yaml"))


def changed(document: dict[str, Any], place: str, update: dict[str, Any] | None) -> dict[str, Any]:
    """Return the document with a column or a rule changed; with nothing, without it."""
    other = copy.deepcopy(document)
    schema = other["schema"][0]
    items = schema["properties"] if place in {item["name"] for item in schema["properties"]} else schema["quality"]
    at = next(index for index, item in enumerate(items) if item["name"] == place)
    if update is None:
        del items[at]
    else:
        items[at] = {key: value for key, value in {**items[at], **update}.items() if value is not None}
    return other


@pytest.mark.parametrize(
    ("place", "update", "level", "what"),
    [
        ("tailnum", None, "major", "the column is gone"),
        ("dest", {"name": "destination"}, "major", "the column is gone; renamed to 'destination'?"),
        ("dep_delay", {"physicalType": "smallint"}, "major", "its type is another: integer → smallint"),
        ("dep_time", {"physicalType": "integer"}, "minor", "its type is wider: smallint → integer"),
        ("distance", {"logicalType": "number"}, "major", "its type is another: integer → double precision"),
        ("tailnum", {"required": True}, "major", "it is now required"),
        ("distance", {"required": None}, "minor", "it is no longer required"),
        ("tailnum", {"unique": True}, "major", "it is now unique"),
        ("origin", {"enum": [{"value": "EWR"}, {"value": "JFK"}]}, "major", "values are no longer allowed: LGA"),
        ("dest", {"enum": [{"value": "BOS"}]}, "major", "its values are now limited to a list"),
        ("origin", {"enum": None}, "minor", "its values are no longer limited to a list"),
        ("distance", {"logicalTypeOptions": {"minimum": 11, "maximum": 6000}}, "major", "minimum is stricter: 10 → 11"),
        ("distance", {"logicalTypeOptions": {"minimum": 9, "maximum": 6000}}, "minor", "minimum is looser: 10 → 9"),
        ("distance", {"logicalTypeOptions": {"minimum": 10}}, "minor", "maximum is looser: 6000 → none"),
        ("dest", {"logicalTypeOptions": {"pattern": "^B"}}, "major", "pattern is stricter: ^[A-Z]{3}$ → ^B"),
        ("tailnum", {"description": "Registration"}, "patch", "its description is another"),
        ("flight", {"primaryKey": None, "primaryKeyPosition": None}, "major",
         "the key is another: carrier, flight, origin, dest, time_hour, minute"
         " → carrier, origin, dest, time_hour, minute"),
        ("rows_per_day", {"mustBeBetween": [400, 1300]}, "minor", "the rule 'rows_per_day' is looser"),
        ("rows_per_day", {"mustBeBetween": [600, 1300]}, "major",
         "the rule 'rows_per_day' asks for something else, or for more"),
        ("rows_per_day", {"severity": "warning"}, "minor", "the rule 'rows_per_day' is another (warning)"),
        ("rows_per_day", {"description": "!"}, "patch", "the rule 'rows_per_day' says the same in other words"),
        ("rows_per_day", None, "minor", "the rule 'rows_per_day' is gone"),
    ],
)  # fmt: skip
def test_what_breaks_and_what_does_not(
    document: dict[str, Any], place: str, update: dict[str, Any] | None, level: str, what: str
) -> None:
    changes = compare(contract(document), contract(changed(document, place, update)))
    assert (changes[0].level, what) in {(change.level, change.what) for change in changes}, changes
    wanted = {"major": "2.0.0", "minor": "1.3.0", "patch": "1.2.4"}
    assert suggested_version(contract(document), changes) == wanted[level] == wanted[changes[0].level]


@pytest.mark.parametrize(("update", "level"), [({}, "minor"), ({"required": True}, "major")])
def test_a_new_column(document: dict[str, Any], update: dict[str, Any], level: str) -> None:
    other = copy.deepcopy(document)
    other["schema"][0]["properties"].append({"name": "gate", "logicalType": "string", **update})
    (change,) = compare(contract(document), contract(other))
    assert (change.level, change.column) == (level, "gate")


@pytest.mark.parametrize(("severity", "level"), [("error", "major"), ("warning", "minor")])
def test_a_new_rule(document: dict[str, Any], severity: str, level: str) -> None:
    other = copy.deepcopy(document)
    other["schema"][0]["quality"].append({"name": "r", "metric": "rowCount", "mustBe": 1, "severity": severity})
    (change,) = compare(contract(document), contract(other))
    assert change.level == level


def test_nothing_changed_needs_no_version(document: dict[str, Any]) -> None:
    assert compare(contract(document), contract(document)) == []
    assert suggested_version(contract(document), []) == "1.2.3"


def test_a_version_that_is_none_is_an_error(document: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"'1.2' is no MAJOR.MINOR.PATCH"):
        suggested_version(contract({**document, "version": "1.2"}), [])
