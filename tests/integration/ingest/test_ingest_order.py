"""Any order and repetition of days and ranges ends in the same content."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight_sources import published, warehouse
from mlforge import db
from mlforge.settings import Settings
from mlforge.spec import load_use_case

pytestmark = pytest.mark.integration
DAYS = ["2013-04-01", "2013-04-02", "2013-04-03", "2013-04-04"]
RANGES = [f"{first}..{last}" for first in DAYS for last in DAYS if first < last]


def _empty() -> None:
    with db.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS warehouse.flight_delays__weather")
        connection.execute("TRUNCATE ledger.publications, ledger.attempts, quarantine.rows")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.sampled_from(DAYS + RANGES), max_size=5), order=st.permutations(DAYS))
def test_any_order_and_repetition_gives_the_same_content(
    module_database: Settings, asked: list[str], order: list[str]
) -> None:
    use_case = load_use_case("flight_delays")
    _empty()
    published(use_case, f"{DAYS[0]}..{DAYS[-1]}", "weather")
    expected = warehouse("weather")
    _empty()
    for key in [*asked, *order]:
        published(use_case, key, "weather")
    assert warehouse("weather") == expected
    with db.connect() as connection:
        versions = connection.execute("SELECT partition_key, version FROM ledger.publications").fetchall()
    assert sorted(versions) == [(day, 1) for day in DAYS]
