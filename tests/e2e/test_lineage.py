"""What the demonstration's tasks told OpenLineage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from demonstration import Demonstration

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.fixture
def events(demonstration: Demonstration) -> list[dict[str, Any]]:
    path = demonstration.settings.home / "lineage" / "events.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def named(events: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    found = [event for event in events if event["job"]["name"].endswith(task) and event["eventType"] == "COMPLETE"]
    assert found, f"no task {task} told of its end"
    return found


def test_the_chain_hangs_together_from_the_source_to_the_endpoint(events: list[dict[str, Any]]) -> None:
    read = {(dataset["namespace"], dataset["name"]) for event in events for dataset in event["inputs"]}
    [flights] = {
        (dataset["namespace"], dataset["name"])
        for event in named(events, ".flights.publish")
        for dataset in event["outputs"]
        if dataset["name"].endswith("flight_delays__flights")
    }
    assert flights in read
    for task in (".build_features", ".train"):
        written = {(dataset["namespace"], dataset["name"]) for dataset in named(events, task)[-1]["outputs"]}
        assert written & read, f"nobody reads what {task} writes"


def test_columns_checks_and_parents_are_told(events: list[dict[str, Any]]) -> None:
    build = named(events, ".build_features")[-1]
    assert all(dataset["facets"]["columnLineage"]["fields"] for dataset in build["outputs"])
    check = named(events, ".flights.check_contract")[-1]
    assert check["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert build["run"]["facets"]["parent"]["job"]["name"] == "flight_delays.data"
    assert build["run"]["facets"]["mlforge_partition"]["useCase"] == "flight_delays"


def test_no_event_holds_a_secret(demonstration: Demonstration) -> None:
    text = (demonstration.settings.home / "lineage" / "events.jsonl").read_text(encoding="utf-8")
    for name in ("postgres_password", "airflow_admin_password", "mlflow_password"):
        assert demonstration.settings.secret(name) not in text
