"""A browser, and the pages of Airflow and MLflow as a person uses them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, Locator, Page, Playwright, Route, expect

from mlforge.settings import Settings

SCREENSHOTS = Path(__file__).with_name("screenshots")
WIDE = (1600, 1000)

# The first page of a service just started compiles and caches a lot.
_PAGE_MS = 30_000
_ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]

# Names and values of metrics are two grids side by side, without rows: cells of one height belong together, and only
# those in sight are there. Scrolled by hand, MLflow 3.17 leaves the names behind the values; so values first, and names
# when those are drawn.
_METRICS_AT = """async place => {
  const names = document.querySelector(".ReactVirtualized__Grid a").closest(".ReactVirtualized__Grid");
  const values = [...names.parentElement.parentElement.querySelectorAll(".ReactVirtualized__Grid")].at(-1);
  for (const grid of [values, names]) {
    grid.scrollTop = place;
    for (let frame = 0; frame < 30; frame++) await new Promise(requestAnimationFrame);
  }
  const cells = grid => [...grid.querySelectorAll(".ReactVirtualized__Grid__innerScrollContainer > div")];
  const left = cell => parseInt(cell.style.left);
  const rows = cells(names).map(name => [
    name.innerText.trim(),
    cells(values).filter(cell => cell.style.top === name.style.top).sort((a, b) => left(a) - left(b))
      .map(cell => cell.querySelector("span").innerText),
  ]);
  return {rows, height: names.clientHeight, end: names.scrollHeight, beside: values.scrollTop === names.scrollTop};
}"""
_ROWS = "rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))"


def launch(playwright: Playwright) -> Browser:
    """Start the machine's Chromium, with a new profile."""
    expect.set_options(timeout=_PAGE_MS)
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), None)
    assert path is not None, "there is no Chromium → run `make browser`"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=path, args=[*_ARGUMENTS, *sandbox])


@dataclass
class Window:
    """One page of a new profile that reaches nothing but this machine.

    Attributes:
        page: The page.
        outside: Addresses of other machines that pages asked for; none was let through.
    """

    page: Page
    outside: list[str] = field(default_factory=list)

    def keep(self, name: str) -> None:
        """Keep a screenshot for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")


@contextmanager
def window(
    browser: Browser, *, size: tuple[int, int] = WIDE, credentials: tuple[str, str] | None = None
) -> Iterator[Window]:
    """Give a window of a new profile.

    Args:
        browser: The browser.
        size: Width and height in pixels.
        credentials: User and password for a page that asks by HTTP.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        http_credentials={"username": credentials[0], "password": credentials[1]} if credentials else None,
    )
    context.set_default_timeout(_PAGE_MS)
    opened = Window(context.new_page())

    def refuse(route: Route) -> None:
        opened.outside.append(route.request.url)
        route.abort()

    context.route(_is_outside, refuse)
    try:
        yield opened
    finally:
        context.close()


def _is_outside(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in {"127.0.0.1", "localhost"}


def sign_in(page: Page, settings: Settings) -> None:
    """Sign in to Airflow as its administrator."""
    page.goto(settings.airflow_url)
    page.get_by_label("Username").fill("admin")
    page.locator("input[type=password]").fill(settings.secret("airflow_admin_password"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_test_id("nav-dags-link")).to_be_visible()


def open_dag(page: Page, settings: Settings, dag_id: str) -> None:
    """Open a DAG's page, its grid shown."""
    page.goto(f"{settings.airflow_url}/dags/{dag_id}")
    expect(page.get_by_test_id("trigger-dag-button")).to_be_visible()
    page.get_by_test_id("grid-view-button").click()


def open_run(page: Page, settings: Settings, dag_id: str, run_id: str) -> None:
    """Open the page of a DAG's run, the grid beside it."""
    page.goto(f"{settings.airflow_url}/dags/{dag_id}/runs/{quote(run_id)}")
    page.get_by_test_id("grid-view-button").click()


def show_graph(page: Page) -> None:
    """Show the graph of the DAG that is open, its groups unfolded."""
    page.get_by_role("button", name="Show Graph").click()
    expect(page.locator(".react-flow__node").first).to_be_visible()
    # A profile remembers what was unfolded.
    if page.get_by_test_id("expand-all-button").is_enabled():
        page.get_by_test_id("expand-all-button").click()
    expect(page.get_by_text("check_contract").first).to_be_visible()


def trigger(page: Page, partition_key: str) -> None:
    """Start the DAG that is open for a partition, with the form."""
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Advanced Options").click()
    form.get_by_label("Partition Key").fill(partition_key)
    form.get_by_role("button", name="Trigger").click()
    expect(form).to_be_hidden()


def backfill(page: Page, first: str, last: str) -> Locator:
    """Fill in the form that starts a backfill of the DAG that is open, and return its button.

    Args:
        page: The page.
        first: First date, such as `2013-03-20`.
        last: Last date.
    """
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog").first
    form.get_by_text("Backfill", exact=True).click()
    for place, date in enumerate((first, last)):
        form.get_by_test_id("datetime-input").nth(place).click()
        _pick(page, date)
    form.get_by_text("All Runs", exact=True).click()
    expect(form.get_by_text("will be triggered")).to_be_visible()
    return form.get_by_role("button", name="Run Backfill")


def _pick(page: Page, date: str) -> None:
    calendar = page.get_by_placeholder("YYYY/MM/DD")
    calendar.fill(date.replace("-", "/"))
    calendar.press("Enter")
    page.keyboard.press("Escape")
    expect(calendar).to_be_hidden()


def open_experiment(page: Page, settings: Settings, name: str) -> None:
    """Open the list of an experiment's runs, in MLflow as one uses it for training: without its assistant's panel."""
    page.goto(f"{settings.tracking_url}/#/experiments")
    page.get_by_role("button", name="Model training").click()
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_text(re.compile(r"[1-9]\d* matching runs"))).to_be_visible()


def compare_runs(page: Page) -> None:
    """Open the comparison of all runs listed, with metrics and tags unfolded."""
    page.get_by_role("checkbox", name="select all").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    for section in ("Visualizations", "Run details", "Parameters", "Artifacts"):
        page.get_by_role("button", name=section, exact=True).click()


def open_comparison(page: Page, settings: Settings, experiment_id: str, run_ids: list[str]) -> None:
    """Open MLflow's comparison of runs by its address, without the assistant's panel."""
    runs, experiments = quote(json.dumps(run_ids)), quote(json.dumps([experiment_id]))
    page.goto(f"{settings.tracking_url}/#/compare-runs?runs={runs}&experiments={experiments}")
    expect(page.get_by_role("heading", name="Comparing")).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator(".ReactVirtualized__Grid a").first).to_be_visible()


def compared_rows(page: Page) -> dict[str, list[str]]:
    """Return what the comparison shows of each parameter and tag, one value per run."""
    rows = page.locator("table.mlflow-compare-run-table tr").evaluate_all(_ROWS)
    return {name: values for name, *values in rows}


def compared_metrics(page: Page) -> dict[str, list[str]]:
    """Return what the comparison shows of each metric, one value per run; its list ends up at its end."""
    expect(page.locator(".ReactVirtualized__Grid a").first).to_be_attached()
    found: dict[str, list[str]] = {}
    place = 0
    while True:
        shown = page.evaluate(_METRICS_AT, place)
        assert shown["beside"], "names and values are not beside each other"
        found |= dict(shown["rows"])
        if place + shown["height"] >= shown["end"]:
            return found
        # The last place is less than a whole step away.
        place = min(place + shown["height"] - 50, shown["end"] - shown["height"])
