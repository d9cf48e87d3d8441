from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

from mlforge.contracts.documentation import contract_pages
from mlforge.contracts.impact import impact_of
from mlforge.contracts.page import render_results
from mlforge.contracts.policy import Counts
from mlforge.contracts.results import CheckResult, RuleResult
from mlforge.settings import Settings
from mlforge.spec import UseCase

EVIL = "<script>alert(1)</script>"


def result(outcome: str = "failed") -> CheckResult:
    rule = RuleResult(EVIL, "error", "row", False, "at most 0 rows", 3.0, 100, 3, EVIL, ({"n": EVIL},), 1)
    history = {f"2013-01-{day:02}": ("passed", Counts(100, 99, 0)) for day in range(1, 32)}
    return CheckResult(
        use_case="u", dataset="d", partition_key="2013-01-31", contract_version="1.0.0", attempt=7, outcome=outcome,
        counts=Counts(100, 99, 3), rules=(rule,), checked_at=datetime(2013, 2, 1, tzinfo=UTC), reasons=(EVIL,),
        extra_columns=(EVIL,), partitions=history,
    )  # fmt: skip


def test_values_are_escaped_and_nothing_is_loaded() -> None:
    page = render_results(result())
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert not re.search(r"(src|href)=|url\(|@import|https?://", page)
    assert "default-src 'none'" in page


def test_the_page_tells_counts_share_and_the_last_thirty() -> None:
    page = render_results(result())
    for told in ("<b>100</b>", "<b>96</b>", "<b>3</b>", "<b>1</b>", "3.00%", ">failed</span>"):
        assert told in page
    assert page.count("<rect x=") == 30
    assert "2013-01-01:" not in page
    assert "2013-01-02: passed, 100 in, 0 broken, 1 copies" in page


def test_a_contract_page_tells_who_reads_a_column(flight_delays: UseCase, installation: Settings) -> None:
    pages = contract_pages(flight_delays)
    assert set(pages) == {"index.html", "flights.html", "weather.html", "planes.html"}
    page = pages["flights.html"]
    assert "No database answered" in page
    assert "up to 1.0% of a partition" in page
    assert "route_delays__distance" in page
    assert not re.search(r"<script|src=|url\(|@import", page)
    HTMLParser().feed(page)


def test_what_reads_a_column(flight_delays: UseCase) -> None:
    distance = impact_of(flight_delays, "flights", "distance")
    assert (distance.views, distance.inputs, distance.label) == (("route_delays",), ("route_delays__distance",), False)
    assert impact_of(flight_delays, "flights", "arr_delay").label
    assert "known_at" in impact_of(flight_delays, "flights", "air_time").times
    assert impact_of(flight_delays, "flights", "no_such_column").views == ()
