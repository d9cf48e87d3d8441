"""What a person sees and does in the browser: in Airflow, in MLflow, and on the pages that MLForge itself renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import Window, launch, open_dag, show_graph, sign_in, window
from demonstration import Demonstration
from playwright.sync_api import Browser, expect, sync_playwright

from mlforge import db

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DATA = "flight_delays.data"
CHAINS = ("data", "monitoring", "release", "training")


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
    expect(page.get_by_role("heading", name="4 Dags")).to_be_visible()
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
