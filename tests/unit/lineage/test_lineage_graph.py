"""The lineage of the shipped use case, from its files alone."""

from __future__ import annotations

import pytest

from mlforge.errors import SpecError
from mlforge.lineage import LineageGraph, build_graph, downstream_columns
from mlforge.lineage.graph import ColumnUse
from mlforge.spec import UseCase, list_use_cases, load_use_case

# Written by hand from features/*.sql: feature → the columns that its values are made of, `?` for those that decide.
EXPECTED = {
    "carrier_delays.mean_arr_delay_7d": "arr_delay known_at?",
    "carrier_delays.late_share_28d": "arr_delay",
    "carrier_delays.flights_28d": "",
    "carrier_delays.cancelled_share_28d": "dep_delay",
    "route_delays.distance": "distance",
    "route_delays.mean_air_time_28d": "air_time",
    "origin_hour_delays.sched_hour": "hour",
    "origin_hour_delays.mean_dep_delay_7d": "dep_delay known_at?",
    "tail_delays.last_arr_delay": "arr_delay arr_delay? event_timestamp flight known_at",
    "weather.temp": "temp",
    "weather.event_timestamp": "known_at",
    "planes.built_year": "year",
    "planes.manufacturer": "manufacturer",
}


@pytest.fixture(scope="module")
def graph() -> LineageGraph:
    return build_graph(load_use_case("flight_delays"))


@pytest.mark.parametrize("name", list(EXPECTED))
def test_a_feature_comes_from_these_columns(graph: LineageGraph, name: str) -> None:
    view, column = name.split(".")
    inputs = graph.tables[f"features.{view}"].columns[column]
    found = {f"{item.column}{'?' if item.kind == 'INDIRECT' else ''}" for item in inputs}
    assert found == set(EXPECTED[name].split())


@pytest.mark.parametrize("name", list_use_cases())
def test_every_column_has_inputs_that_exist_or_is_constant(name: str) -> None:
    graph = build_graph(load_use_case(name))
    for table in graph.tables.values():
        for column, inputs in table.columns.items():
            for item in (*inputs, *table.rows):
                assert item.table in graph.tables, f"{table.name}.{column} reads {item}"
                assert item.column in graph.tables[item.table].columns, f"{table.name}.{column} reads {item}"


def test_a_views_constants_are_its_moment_and_what_counts_rows(graph: LineageGraph) -> None:
    constant = {
        f"{table.name}.{column}"
        for table in graph.tables.values()
        if table.layer == "features"
        for column, inputs in table.columns.items()
        if not inputs and column not in {"partition_key", "event_timestamp", "known_at"}
    }
    views = ("carrier_delays", "route_delays", "tail_delays")
    assert constant == {f"features.{view}.flights_28d" for view in views}


def test_the_times_of_a_dataset_come_from_its_sql(graph: LineageGraph) -> None:
    known = {(item.column, item.kind) for item in graph.tables["warehouse.flights"].columns["known_at"]}
    assert known == {
        ("time_hour", "DIRECT"), ("minute", "DIRECT"), ("dep_delay", "DIRECT"), ("air_time", "DIRECT"),
        ("arr_delay", "INDIRECT"),
    }  # fmt: skip
    assert graph.tables["warehouse.planes"].columns["known_at"] == ()


def named(uses: list[ColumnUse], layer: str, kind: str) -> set[str]:
    return {use.column for use in uses if use.layer == layer and use.kind == kind}


def test_a_column_is_followed_to_the_inputs_of_the_model(flight_delays: UseCase) -> None:
    uses = downstream_columns(flight_delays, "flights", "air_time")
    assert "route_delays__mean_air_time_28d" in named(uses, "model", "DIRECT")
    # It is part of known_at, which decides what a trailing window holds.
    assert "carrier_delays__mean_arr_delay_7d" in named(uses, "model", "INDIRECT")
    assert not any(use.column.startswith(("weather__", "planes__")) for use in uses)
    assert ("training_set", "*") in {(use.table, use.column) for use in uses}  # nor may an example be used before
    seats = downstream_columns(flight_delays, "planes", "seats")
    assert [use.name for use in seats] == [
        "warehouse.planes.seats", "features.planes.seats", "training_set.planes__seats", "model.planes__seats",
    ]  # fmt: skip
    assert seats[-1].path[0] == "source.planes.seats"


def test_the_outcome_reaches_the_label(flight_delays: UseCase) -> None:
    assert "label" in named(downstream_columns(flight_delays, "flights", "arr_delay"), "model", "DIRECT")


def test_downstream_and_upstream_are_each_others_mirror(graph: LineageGraph) -> None:
    for table, column in (("model", "tail_delays__last_arr_delay"), ("model", "weekday"), ("features.weather", "temp")):
        for use in graph.upstream(table, column):
            back = {(found.table, found.column): found.kind for found in graph.downstream(use.table, use.column)}
            assert back[table, column] == use.kind


def test_a_derived_field_comes_from_the_fields_that_its_function_names(graph: LineageGraph) -> None:
    assert [item.address for item in graph.tables["training_set"].columns["sched_hour"]] == [
        ("warehouse.flights", "event_timestamp")
    ]


def test_a_feature_on_demand_comes_from_the_features_that_its_function_names(flight_delays: UseCase) -> None:
    uses = [use.column for use in downstream_columns(flight_delays, "planes", "year")]
    assert "flight_context__plane_age" in uses


def test_an_unknown_name_is_an_error_with_the_nearest(graph: LineageGraph, flight_delays: UseCase) -> None:
    with pytest.raises(SpecError, match="did you mean 'arr_delay'"):
        downstream_columns(flight_delays, "flights", "arr_dela")
    with pytest.raises(SpecError, match="did you mean 'flights'"):
        downstream_columns(flight_delays, "flight", "arr_delay")
    with pytest.raises(SpecError, match="nothing in the lineage is called 'seets'"):
        graph.find("seets")


def test_a_name_means_a_table_a_column_of_it_or_a_column_anywhere(graph: LineageGraph) -> None:
    assert {table for table, _ in graph.find("planes")} == {"source.planes", "warehouse.planes", "features.planes"}
    assert graph.find("features.planes.seats") == [("features.planes", "seats")]
    assert len(graph.find("planes.seats")) == 3
    assert graph.find("built_year") == [("features.planes", "built_year")]


def test_a_column_that_the_contract_lost_is_found_where_sql_still_reads_it(flight_delays: UseCase) -> None:
    contract = flight_delays.contract("planes")
    left = type(contract)(**{**vars(contract), "columns": tuple(c for c in contract.columns if c.name != "seats")})
    changed = flight_delays.model_copy()
    changed._folder = flight_delays.folder
    changed._contracts = {**flight_delays._contracts, "planes": left}
    uses = downstream_columns(changed, "planes", "seats")
    assert "model.planes__seats" in [use.name for use in uses]
