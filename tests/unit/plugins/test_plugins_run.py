"""What a run says about itself, and when it may act live."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mlforge.errors import PartitionKeyError
from mlforge.spec import UseCase
from mlforge_airflow.operators.run import RunFacts, read_facts, why_not_live


def context(
    key: str | None = "2013-04-01",
    *,
    run_type: str = "manual",
    params: dict[str, Any] | None = None,
    extras: list[dict[str, Any]] | None = None,
    user: str | None = None,
) -> Any:
    dag_run = SimpleNamespace(dag_id="flight_delays.data", run_id="run-1", run_type=run_type, triggering_user_name=user)
    events = {"asset": [SimpleNamespace(extra=extra) for extra in extras or []]}
    return {"dag_run": dag_run, "partition_key": key, "params": params or {}, "triggering_asset_events": events}


def facts(**changes: Any) -> RunFacts:
    return RunFacts(**{**read(context()).__dict__, **changes})


def read(given: Any) -> RunFacts:
    from mlforge.spec import load_use_case

    return read_facts(given, load_use_case("flight_delays"))


def test_the_partition_key_is_the_range_of_one_day() -> None:
    found = read(context("2013-04-01", user="ada"))
    assert found.days.key == "2013-04-01"
    assert found.run_id == "flight_delays.data/run-1"
    assert found.who == "ada"
    assert found.why == "manual run of flight_delays.data for 2013-04-01"


@pytest.mark.parametrize(
    ("key", "params", "range_key"),
    [
        ("2013-03-31", {"from": "2013-01-01", "to": "2013-03-31"}, "2013-01-01..2013-03-31"),
        ("2013-03-31", {"from": "2013-01-01", "to": None}, "2013-01-01..2013-03-31"),
        (None, {"from": "2013-01-01", "to": "2013-01-03"}, "2013-01-01..2013-01-03"),
        ("2013-03-31", {"from": None, "to": None}, "2013-03-31"),
    ],
)
def test_from_and_to_widen_the_key(key: str | None, params: dict[str, Any], range_key: str) -> None:
    assert read(context(key, params=params)).days.key == range_key


@pytest.mark.parametrize(
    ("key", "params", "message"),
    [
        (None, {}, "names no partition"),
        (None, {"from": "2013-01-01"}, "names no partition"),
        ("2013-03-31", {"from": "2013-01-01", "to": "2013-03-30"}, "its parameter `to` is 2013-03-30"),
        ("2013-03-31", {"from": "2013-04-01"}, "ends before it starts"),
        ("yesterday", {}, "is no day"),
        ("2014-05-05", {}, "outside 2013-01-01..2013-12-30"),
    ],
)
def test_a_wrong_partition_is_named(key: str | None, params: dict[str, Any], message: str) -> None:
    with pytest.raises(PartitionKeyError, match=message):
        read(context(key, params=params))


def test_a_backfill_is_one_here_or_in_the_run_that_caused_this_one() -> None:
    assert read(context(run_type="backfill")).backfill
    assert read(context(run_type="asset_triggered", extras=[{"backfill": True}])).backfill
    assert not read(context(run_type="asset_triggered", extras=[{"backfill": True}, {"backfill": False}])).backfill
    assert not read(context(run_type="asset_triggered", extras=[{}])).backfill
    assert not read(context(run_type="scheduled")).backfill


def test_what_a_person_said_travels_with_the_event() -> None:
    cause = read(context(params={"act_live": True}, user="ada"))
    found = read(context(run_type="asset_triggered", extras=[cause.event_extra]))
    assert (found.act_live, found.who, found.backfill) == (True, "ada", False)


def test_only_the_run_that_a_person_started_knows_that_he_insists() -> None:
    cause = read(context(params={"act_live": True}, user="ada"))
    assert (cause.insists, cause.by_hand, cause.scheduled) == (True, True, False)
    found = read(context(run_type="asset_triggered", extras=[cause.event_extra]))
    assert (found.insists, found.by_hand, found.scheduled) == (False, False, False)


def test_that_the_schedule_was_the_cause_travels_with_the_event() -> None:
    cause = read(context(run_type="scheduled"))
    assert (cause.scheduled, cause.by_hand) == (True, False)
    assert read(context(run_type="asset_triggered", extras=[cause.event_extra])).scheduled
    assert not read(context(run_type="asset_triggered", extras=[{"backfill": True}])).scheduled


def test_without_a_person_it_is_the_schedule() -> None:
    assert read(context(run_type="scheduled")).who == "schedule"


@pytest.mark.parametrize(
    ("changes", "newest", "reason"),
    [
        ({}, "2013-04-01", None),
        ({}, "2013-04-02", "2013-04-01 is not the newest published partition, which is 2013-04-02"),
        ({}, None, "nothing is published yet"),
        ({"backfill": True}, "2013-04-01", "part of a backfill"),
        ({"act_live": True}, "2013-04-02", None),
        ({"act_live": True, "backfill": True}, None, None),
    ],
)
def test_the_live_rule(changes: dict[str, Any], newest: str | None, reason: str | None) -> None:
    found = why_not_live(facts(**changes), newest)
    assert found == reason or (reason is not None and found is not None and reason in found)


def test_a_range_acts_when_its_last_day_is_the_newest(flight_delays: UseCase) -> None:
    days = flight_delays.partitions("2013-01-01..2013-03-31")
    assert why_not_live(facts(days=days), "2013-03-31") is None
    assert why_not_live(facts(days=days), "2013-04-01") is not None
