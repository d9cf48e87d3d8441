"""What a person sees and does in the browser: in Airflow, in MLflow, and on the pages that MLForge itself renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import (
    Window,
    backfill,
    compare_runs,
    compared_metrics,
    compared_rows,
    launch,
    open_comparison,
    open_dag,
    open_experiment,
    open_run,
    show_graph,
    sign_in,
    trigger,
    window,
)
from demonstration import Demonstration
from mlflow import MlflowClient
from playwright.sync_api import Browser, expect, sync_playwright

from mlforge import db
from mlforge.demo.orchestrator import Orchestrator
from mlforge.refs import PartitionRange
from mlforge.tracking import configure_tracking

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DATA = "flight_delays.data"
RUN_SECONDS = 240
CHAINS = ("data", "monitoring", "refresh", "release", "training", "walk_forward", "deadline")
USE_CASES = 2


# Not for the whole session: while it is open, no other test could run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def airflow(browser: Browser, demonstration: Demonstration) -> Iterator[Window]:
    """A window, signed in to Airflow."""
    with window(browser) as opened:
        sign_in(opened.page, demonstration.settings)
        yield opened


def test_airflow_lists_the_chains_with_their_tags(airflow: Window) -> None:
    page = airflow.page
    page.get_by_test_id("nav-dags-link").click()
    expect(page.get_by_role("heading", name=f"{USE_CASES * len(CHAINS)} Dags")).to_be_visible()
    for chain in CHAINS:
        expect(page.get_by_role("link", name=f"flight_delays.{chain}", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="flight_delays", exact=True)).to_have_count(len(CHAINS))
    airflow.keep("airflow-dags")


def test_the_graph_of_the_data_chain_is_readable(airflow: Window, demonstration: Demonstration) -> None:
    page = airflow.page
    open_dag(page, demonstration.settings, DATA)
    show_graph(page)
    graph = page.locator(".react-flow__node")
    for task, times in {"extract": 3, "check_contract": 3, "publish": 3, "build_features": 1, "materialize": 1}.items():
        shown = graph.get_by_text(task, exact=True)
        expect(shown).to_have_count(times)
        for place in range(times):
            expect(shown.nth(place)).to_be_in_viewport()
    airflow.keep("airflow-data-graph")


def test_every_chain_explains_itself(airflow: Window, demonstration: Demonstration) -> None:
    page = airflow.page
    for chain in CHAINS:
        open_dag(page, demonstration.settings, f"flight_delays.{chain}")
        page.get_by_role("button", name="Dag Docs").click()
        text = page.get_by_role("dialog")
        expect(text.get_by_role("heading", name=f"Late arrivals of flights out of New York: {chain}")).to_be_visible()
        expect(text.get_by_role("listitem").first).to_be_visible()
        airflow.keep(f"airflow-{chain}-docs")


def test_a_partition_is_run_from_the_form(airflow: Window, demonstration: Demonstration) -> None:
    page, orchestrator = airflow.page, Orchestrator(demonstration.settings)
    before = orchestrator.last_run_id(DATA)
    open_dag(page, demonstration.settings, DATA)
    trigger(page, "2013-04-02")
    run = orchestrator.next_run(DATA, "2013-04-02", before, RUN_SECONDS)
    open_run(page, demonstration.settings, DATA, run.run_id)
    expect(page.get_by_text("2013-04-02", exact=True)).to_be_visible()
    # The page follows the run by itself.
    expect(page.get_by_test_id("state-badge").first).to_have_text("Success", timeout=RUN_SECONDS * 1000)
    page.reload()
    expect(page.get_by_test_id(f"grid-{run.run_id}-request_training")).to_be_visible()
    expect(page.get_by_text("13 Task Instances")).to_be_visible()
    airflow.keep("airflow-data-grid")
    show_graph(page)
    airflow.keep("airflow-data-run-graph")
    states = orchestrator.task_states(run)
    assert states.pop("mark_stale") == "skipped"  # nothing that was built before reads this day
    assert set(states.values()) == {"success"}


def test_a_backfill_from_the_form_trains_nothing(airflow: Window, demonstration: Demonstration) -> None:
    page, orchestrator = airflow.page, Orchestrator(demonstration.settings)
    days = PartitionRange.between("2013-03-20", "2013-03-21")
    open_dag(page, demonstration.settings, DATA)
    # Airflow takes one backfill of a DAG at a time, and says late that one has ended.
    expect(page.get_by_text("Backfill in progress")).to_have_count(0, timeout=RUN_SECONDS * 1000)
    before = orchestrator.last_run_id(DATA)
    start = backfill(page, *days.keys)
    airflow.keep("airflow-backfill-form")
    start.click()
    runs = [orchestrator.next_run(DATA, key, before, RUN_SECONDS) for key in days.keys]
    for run in runs:
        assert run.run_type == "backfill"
        orchestrator.wait(run, RUN_SECONDS)
        states = orchestrator.task_states(run)
        assert states.pop("request_training") == "skipped"
        assert states.pop("mark_stale") == "skipped"  # the same rows as before: nothing is stale
        assert set(states.values()) == {"success"}
    open_dag(page, demonstration.settings, DATA)
    for run in runs:
        expect(page.get_by_test_id(f"grid-{run.run_id}-request_training")).to_be_visible()
    airflow.keep("airflow-data-grid-backfill")


def test_mlflow_compares_runs_and_names_the_champion(browser: Browser, demonstration: Demonstration) -> None:
    settings = demonstration.settings
    with window(browser, credentials=("mlforge", settings.secret("mlflow_password"))) as opened:
        page = opened.page
        open_experiment(page, settings, "flight_delays")
        opened.keep("mlflow-runs")
        compare_runs(page)
        expect(page.get_by_role("heading", name="Comparing")).to_be_visible()
        losses = compared_metrics(page)["test_log_loss"]
        assert len(losses) >= 2
        assert all(0 < float(loss) < 1 for loss in losses)
        opened.keep("mlflow-compare")
        page.goto(f"{settings.tracking_url}/#/models/flight_delays")
        expect(page.get_by_text("champion").first).to_be_visible()
        opened.keep("mlflow-model")


def test_two_runs_are_compared_at_a_glance(browser: Browser, demonstration: Demonstration) -> None:
    settings = demonstration.settings
    configure_tracking()
    client = MlflowClient()
    experiment = client.get_experiment_by_name("flight_delays").experiment_id
    runs = [run for run in client.search_runs([experiment]) if "test_log_loss" in run.data.metrics][:2]
    assert len(runs) == 2
    with window(browser, credentials=("mlforge", settings.secret("mlflow_password"))) as opened:
        open_comparison(opened.page, settings, experiment, [run.info.run_id for run in runs])
        opened.keep("mlflow-compare-two")
        shown, metrics = compared_rows(opened.page), compared_metrics(opened.page)
        assert opened.outside == []
    first, second = (run.data for run in runs)
    assert set(first.params) == set(second.params)
    assert set(first.metrics) == set(second.metrics) == set(metrics)
    for name, value in first.params.items():
        assert shown[name] == [value, second.params[name]], name
    for name, values in metrics.items():
        told = [first.metrics[name], second.metrics[name]]
        assert [float(value) for value in values] == pytest.approx(told, rel=1e-3, abs=1e-3), name
    for fact in ("mlforge.training_set_hash", "mlforge.fingerprint.lock", "mlforge.code_version"):
        assert all(shown[fact]), fact


def test_the_drift_report_needs_nothing_from_outside(browser: Browser, demonstration: Demonstration) -> None:
    with db.connect() as connection:
        report = connection.execute(
            "SELECT uri, partition_key FROM ledger.drift_reports ORDER BY reported_at DESC LIMIT 1"
        ).fetchone()
    assert report is not None
    uri, days = report
    assert Path(urlsplit(uri).path).is_file()
    with window(browser) as opened:
        opened.page.goto(uri)
        expect(opened.page.get_by_role("heading", name=f"Drift of flight_delays, {days}")).to_be_visible()
        expect(opened.page.get_by_text("Drift in column").first).to_be_visible()
        # A chart is drawn, so its script is in the file.
        expect(opened.page.locator(".js-plotly-plot svg").first).to_be_visible()
        opened.keep("drift-report")
        assert opened.outside == []


def test_the_gateway_documents_the_service(browser: Browser, demonstration: Demonstration) -> None:
    with window(browser) as opened:
        opened.page.goto(f"{demonstration.settings.gateway_url}/flight_delays/docs")
        expect(opened.page.get_by_role("heading", name="POST /flight_delays/predict")).to_be_visible()
        expect(opened.page.get_by_role("cell", name="scheduled_departure")).to_be_visible()
        opened.keep("gateway-docs")
        opened.page.get_by_role("link", name="OpenAPI document").click()
        expect(opened.page.get_by_text('"openapi"').first).to_be_visible()
        assert opened.outside == []
