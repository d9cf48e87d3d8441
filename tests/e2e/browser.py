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

from playwright.sync_api import Browser, Page, Playwright, Route, expect

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


def launch(playwright: Playwright) -> Browser:
    """Start the machine's Chromium, with a new profile."""
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
    expect(page.get_by_test_id("nav-dags-link")).to_be_visible(timeout=_PAGE_MS)


def open_dag(page: Page, settings: Settings, dag_id: str) -> None:
    """Open a DAG's page, its grid shown."""
    page.goto(f"{settings.airflow_url}/dags/{dag_id}")
    expect(page.get_by_test_id("trigger-dag-button")).to_be_visible(timeout=_PAGE_MS)
    page.get_by_test_id("grid-view-button").click()


def show_graph(page: Page) -> None:
    """Show the graph of the DAG that is open, its groups unfolded."""
    page.get_by_role("button", name="Show Graph").click()
    expect(page.locator(".react-flow__node").first).to_be_visible(timeout=_PAGE_MS)
    # A profile remembers what was unfolded.
    if page.get_by_test_id("expand-all-button").is_enabled():
        page.get_by_test_id("expand-all-button").click()
    expect(page.get_by_text("check_contract").first).to_be_visible(timeout=_PAGE_MS)


def trigger(page: Page, partition_key: str) -> None:
    """Start the DAG that is open for a partition, with the form."""
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Advanced Options").click()
    form.get_by_label("Partition Key").fill(partition_key)
    form.get_by_role("button", name="Trigger").click()
    expect(form).to_be_hidden(timeout=_PAGE_MS)


def backfill(page: Page, first: str, last: str, name: str) -> None:
    """Start a backfill of the DAG that is open, with the form; a screenshot of it is kept.

    Args:
        page: The page.
        first: First date, such as `2013-03-20`.
        last: Last date.
        name: Name of the screenshot.
    """
    page.get_by_test_id("trigger-dag-button").click()
    form = page.get_by_role("dialog").first
    form.get_by_text("Backfill", exact=True).click()
    for place, date in enumerate((first, last)):
        form.get_by_test_id("datetime-input").nth(place).click()
        _pick(page, date)
    form.get_by_text("All Runs", exact=True).click()
    expect(form.get_by_text("runs will be triggered")).to_be_visible(timeout=_PAGE_MS)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    form.get_by_role("button", name="Run Backfill").click()
    expect(form).to_be_hidden(timeout=_PAGE_MS)


def _pick(page: Page, date: str) -> None:
    calendar = page.get_by_placeholder("YYYY/MM/DD")
    calendar.fill(date.replace("-", "/"))
    calendar.press("Enter")
    page.keyboard.press("Escape")
    expect(calendar).to_be_hidden()


def open_tracking(page: Page, settings: Settings, path: str) -> None:
    """Open a page of MLflow as its users do for model training: without its assistant's panel."""
    page.goto(f"{settings.tracking_url}/#{path}")
    page.get_by_role("button", name="Model training").click()
    assistant = page.get_by_role("button", name="Close", exact=True)
    if assistant.is_visible():
        assistant.click()


def comparison(run_ids: list[str], experiment_id: str) -> str:
    """Return the path of the page that compares runs."""
    runs, experiments = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (run_ids, [experiment_id]))
    return f"/compare-runs?runs={runs}&experiments={experiments}"


def words(text: str) -> re.Pattern[str]:
    """Return a pattern for a text that stands alone, whatever is around it."""
    return re.compile(rf"(^|\s){re.escape(text)}(\s|$)")
