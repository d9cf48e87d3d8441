"""On-demand features: training, the server, and Feast's own retrievals give the same values, for real flights."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlforge import storage
from mlforge.features import (
    apply_features,
    assemble_partition,
    build_features,
    materialize_features,
    open_store,
    read_online,
)
from mlforge.features.on_demand import OnDemand
from mlforge.features.plan import make_plan
from mlforge.features.reader import OnlineReader, RowFeatures
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration

DAY, NEXT = PartitionRange.parse("2013-01-03"), PartitionRange.parse("2013-01-04")
NAMES = ["flight_context__plane_age", "flight_context__carrier_over_route", "flight_context__hour_over_route"]


@pytest.fixture(scope="module")
def examples(fill: Callable[[PartitionRange], None], use_case: UseCase) -> pd.DataFrame:
    """Examples of the day after the one that is online."""
    fill(PartitionRange.parse("2013-01-01..2013-01-04"))
    built = build_features(use_case, DAY)
    materialize_features(use_case, built)
    table = pq.read_table(io.BytesIO(storage.read_bytes(assemble_partition(use_case, NEXT).uri)))
    frame = table.to_pandas()
    # What snapshots know at midnight is online; hourly weather is not yet.
    return frame[frame["event_timestamp"] < NEXT.end - timedelta(hours=2)].iloc[::20].reset_index(drop=True)


async def _read(plan, use_case: UseCase, rows: list[dict[str, object]]) -> list[RowFeatures]:
    reader = OnlineReader(plan, use_case.prediction.moment, on_demand=OnDemand(use_case))
    try:
        return await asyncio.gather(*(reader.read(row) for row in rows))
    finally:
        await reader.close()


def _requests(use_case: UseCase, examples: pd.DataFrame) -> dict[str, list[object]]:
    names = [*use_case.prediction.request, *use_case.prediction.derived]
    columns = {name: examples[name].astype(object).tolist() for name in names}
    columns["scheduled_departure"] = [moment.to_pydatetime() for moment in examples["scheduled_departure"]]
    return columns


def test_training_has_what_the_server_computes(examples: pd.DataFrame, use_case: UseCase) -> None:
    columns = _requests(use_case, examples)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    served = asyncio.run(_read(make_plan(open_store(), use_case.feature_service), use_case, rows))
    for name in NAMES:
        expected = [None if value != value else value for value in examples[name]]
        assert [values[name] for values, _, _ in served] == expected
        assert sum(value is not None for value in expected) > len(expected) / 2
    by_feast = read_online(open_store(), use_case, columns)
    for name in NAMES:
        assert by_feast.columns[name] == [values[name] for values, _, _ in served]


def test_feasts_own_retrieval_agrees(examples: pd.DataFrame, use_case: UseCase) -> None:
    """Feast executes its own copy of the function, from the registry."""
    store = open_store()
    spine = examples[[*use_case.prediction.request, *use_case.prediction.derived, "event_timestamp"]]
    found = store.get_historical_features(
        entity_df=spine, features=store.get_feature_service(use_case.feature_service), full_feature_names=True
    ).to_df()
    pd.testing.assert_frame_equal(found[NAMES], examples[NAMES], check_dtype=False)


def test_applying_again_makes_no_version(examples: pd.DataFrame, use_case: UseCase) -> None:
    assert apply_features(use_case) == sorted(use_case.features)
    assert "flight_context" in {view.name for view in open_store().list_on_demand_feature_views()}
