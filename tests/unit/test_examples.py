from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import SpecError
from mlforge.examples import Examples
from mlforge.spec import UseCase
from mlforge.spec.loading import read_use_case


def make_examples(rows: int) -> Examples:
    table = pa.table(
        {
            "carrier": ["UA"] * rows,
            "weather__temp": np.arange(rows, dtype=float),
            "weather__kind": [str(row) for row in range(rows)],
            "planes__seats": list(range(rows)),
        }
    )
    return Examples(table, np.zeros(rows), np.arange(rows).astype("datetime64[us]"))


@given(rows=st.integers(0, 300), share=st.floats(0, 1))
def test_a_view_is_taken_away_whole_and_from_the_same_rows_every_time(rows: int, share: float) -> None:
    examples = make_examples(rows)
    lost = examples.without_views({"weather": share})
    assert lost.table.equals(examples.without_views({"weather": share}).table)
    gone = np.array(lost.table.column("weather__temp").is_null())
    assert (gone == np.array(lost.table.column("weather__kind").is_null())).all()
    assert lost.table.select(["carrier", "planes__seats"]).equals(examples.table.select(["carrier", "planes__seats"]))
    assert lost.table.schema == examples.table.schema


def test_the_share_is_about_what_was_asked_for() -> None:
    lost = make_examples(10_000).without_views({"weather": 0.5}).table.column("weather__temp").null_count
    assert 4_700 < lost < 5_300


def test_a_view_that_there_is_not_is_an_error(flight_delays: UseCase, tmp_path: Path) -> None:
    folder = tmp_path / "flight_delays"
    folder.mkdir()
    text = (flight_delays.folder / "use_case.yaml").read_text()
    (folder / "use_case.yaml").write_text(text.replace("absent_views: {weather: 0.5}", "absent_views: {wether: 0.5}"))
    with pytest.raises(SpecError, match="wether"):
        read_use_case(folder)
