from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import FeatureError
from mlforge.features.on_demand import OnDemand
from mlforge.spec import UseCase, load_use_case

_SHARES = st.one_of(st.none(), st.floats(0, 1))
_ROWS = st.lists(
    st.tuples(
        st.datetimes(datetime(2013, 1, 1), datetime(2013, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
        st.one_of(st.none(), st.floats(1950, 2013)),
        _SHARES,
        _SHARES,
        _SHARES,
    ),
    min_size=1,
    max_size=20,
)
_INPUTS = (
    "scheduled_departure",
    "planes__built_year",
    "route_delays__late_share_28d",
    "carrier_delays__late_share_28d",
    "origin_hour_delays__late_share_28d",
)


def _changed(use_case: UseCase, folder: Path, text: str) -> UseCase:
    (folder / "on_demand.py").write_text(text)
    changed = use_case.model_copy(update={"on_demand": {"sums": {"total": "number"}}})
    changed._folder = folder
    return changed


@given(_ROWS)
def test_rows_one_by_one_give_what_columns_give(rows: list[tuple[object, ...]]) -> None:
    on_demand = OnDemand(load_use_case("flight_delays"))
    columns = {name: list(values) for name, values in zip(_INPUTS, zip(*rows, strict=True), strict=True)}
    together = on_demand.compute(columns)
    for place, row in enumerate(rows):
        alone = on_demand.compute({name: [value] for name, value in zip(_INPUTS, row, strict=True)})
        assert {name: values[0] for name, values in alone.items()} == {
            name: values[place] for name, values in together.items()
        }
    assert set(together) == set(on_demand.types)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def other(inputs): return {}", "`sums` is missing"),
        ("def sums(inputs): return {'totals': [1.0]}", "other features"),
        ("def sums(inputs): return {'total': [inputs['a'][0] + 1]}", "`sums` fails: KeyError"),
        ("import no_such_module", "cannot be imported"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        OnDemand(_changed(load_use_case("flight_delays"), tmp_path, text)).compute({"b": [1]})


def test_nan_is_nothing(tmp_path: Path) -> None:
    use_case = _changed(
        load_use_case("flight_delays"), tmp_path, "def sums(inputs): return {'total': [float('nan'), 1.0]}"
    )
    assert OnDemand(use_case).compute({}) == {"sums__total": [None, 1.0]}


def test_a_use_case_without_any_needs_no_file(tmp_path: Path) -> None:
    use_case = load_use_case("flight_delays").model_copy(update={"on_demand": {}})
    use_case._folder = tmp_path
    assert OnDemand(use_case).compute({"a": [1]}) == {}
