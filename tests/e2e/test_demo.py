"""The main job, through the running Airflow and the gateway."""

from __future__ import annotations

from typing import Any

import httpx
import psutil
import pytest
from demonstration import Demonstration, run_mlforge

from mlforge import db
from mlforge.db.ledger import champion, live_deployment
from mlforge.demo.orchestrator import Orchestrator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

LOADED_DAYS = 90
USE_CASE = "flight_delays"


def fetch(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        return connection.execute(statement, values).fetchall()


def test_every_row_is_accounted_for(demonstration: Demonstration) -> None:
    rows = fetch(
        "SELECT dataset, count(DISTINCT partition_key), sum(rows_in), sum(rows_published), sum(rows_quarantined),"
        " sum(rows_duplicate) FROM ledger.publications GROUP BY dataset"
    )
    by_dataset = {name: counts for name, *counts in rows}
    assert set(by_dataset) == {"flights", "weather", "planes"}
    for partitions, rows_in, published, quarantined, duplicate in by_dataset.values():
        assert rows_in == published + quarantined + duplicate
        assert partitions in {LOADED_DAYS + 1, 1}
    flights = fetch("SELECT count(*) FROM warehouse.flight_delays__flights")[0][0]
    assert flights == by_dataset["flights"][2]
    # The one impossible wind of 2013 is in quarantine.
    assert fetch("SELECT row ->> 'origin', rules FROM quarantine.rows WHERE (row ->> 'wind_speed')::float > 1000")


def test_the_champion_beats_its_baselines_and_is_live(demonstration: Demonstration) -> None:
    release, deployment = champion(USE_CASE), live_deployment(USE_CASE)
    assert release is not None
    assert deployment is not None
    assert deployment.release_id == release.release_id
    assert "log loss" in demonstration.output
    assert "logistic regression" in demonstration.output


def test_every_answer_has_its_receipt_and_outcomes_were_joined(demonstration: Demonstration) -> None:
    [(receipts,)] = fetch("SELECT count(*) FROM ledger.predictions WHERE use_case = %(u)s", u=USE_CASE)
    [(outcomes,)] = fetch("SELECT count(*) FROM ledger.outcomes WHERE use_case = %(u)s", u=USE_CASE)
    assert receipts > outcomes > 800
    [(receipt,)] = fetch("SELECT receipt_id FROM ledger.predictions ORDER BY predicted_at DESC LIMIT 1")
    traced = run_mlforge("trace", str(receipt))
    assert traced.returncode == 0, traced.stderr
    assert str(receipt) in traced.stdout


def test_the_backfill_left_alone_what_is_live(demonstration: Demonstration) -> None:
    airflow = Orchestrator(demonstration.settings)
    runs = [run for run in airflow._runs(f"{USE_CASE}.data", 50) if run.run_type == "backfill"]
    assert sorted(run.partition_key or "" for run in runs) == ["2013-03-10", "2013-03-11", "2013-03-12"]
    assert {airflow.task_states(run)["request_training"] for run in runs} == {"skipped"}
    [(versions,)] = fetch("SELECT max(version) FROM ledger.publications WHERE partition_key = '2013-03-11'")
    assert versions == 1


def test_the_gateway_asks_for_a_key_and_names_the_wrong_field(demonstration: Demonstration) -> None:
    settings = demonstration.settings
    url = f"{settings.gateway_url}/{USE_CASE}/predict"
    assert httpx.post(url, json={}, trust_env=False).status_code == httpx.codes.UNAUTHORIZED
    key = settings.secret("demo_api_key")
    answer = httpx.post(url, json={"carrier": 7}, headers={"x-api-key": key}, trust_env=False)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "carrier" in answer.text


def test_everything_listens_on_the_loopback_only(demonstration: Demonstration) -> None:
    home = str(demonstration.settings.home)
    ours = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("MLFORGE_HOME") == home
    ]
    listening = {
        connection.laddr.ip
        for process in ours
        if process.is_running()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_a_repeat_publishes_nothing_new(demonstration: Demonstration) -> None:
    before = fetch("SELECT count(*) FROM ledger.publications")
    releases = fetch("SELECT count(*) FROM ledger.releases")
    again = run_mlforge("demo", seconds=900)
    assert again.returncode == 0, again.stdout[-6000:] + again.stderr[-6000:]
    assert fetch("SELECT count(*) FROM ledger.publications") == before
    assert fetch("SELECT count(*) FROM ledger.releases") == releases
