"""`mlforge lineage show`: trees, JSON and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlforge.cli.main import build_app
from mlforge.errors import SpecError
from mlforge.lineage import build_graph
from mlforge.lineage.graph import LineageGraph, Table
from mlforge.lineage.page import render_lineage
from mlforge.spec import load_use_case


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(build_app(), ["lineage", "show", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done


def test_without_a_name_it_shows_every_table_with_what_it_reads() -> None:
    output = run("flight_delays").output
    assert "features.weather 13 columns ← warehouse.weather" in output
    assert "model 45 columns ← training_set" in output


def test_a_column_is_shown_with_its_ways_up_and_down() -> None:
    output = run("flight_delays", "features.planes.seats").output
    assert "warehouse.planes.seats transformation" in output
    assert "model.planes__seats identity" in output
    assert "join" not in output
    assert "training_set.planes__seats" in run("flight_delays", "planes.tailnum", "--all").output


def test_a_table_is_shown_column_by_column() -> None:
    output = run("flight_delays", "features.route_delays").output
    assert "cancelled_share_28d ← warehouse.flights.dep_delay aggregation" in output
    assert "rows decided by warehouse.flights.known_at filter" in output


def test_a_script_gets_json() -> None:
    [found] = json.loads(run("flight_delays", "source.planes.seats", "--json").stdout)
    assert [each["column"] for each in found["read_by"]][-1] == "model.planes__seats"
    assert found["comes_from"] == []


def test_an_unknown_name_is_an_error() -> None:
    done = CliRunner().invoke(build_app(), ["lineage", "show", "flight_delays", "arr_dela"])
    assert isinstance(done.exception, SpecError)
    assert "did you mean" in str(done.exception)


def test_the_page_stands_alone_and_marks_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "lineage.html"
    run("flight_delays", "warehouse.flights.arr_delay", "--html", str(path))
    page = path.read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert '<script type="application/json" id="first">["warehouse.flights.arr_delay"]</script>' in page
    graph = build_graph(load_use_case("flight_delays"))
    for table in graph.tables.values():
        for column in table.columns:
            assert f'data-id="{table.name}.{column}"' in page


@pytest.mark.parametrize("evil", ["<script>x</script>", '"><b', "a&b"])
def test_names_are_escaped(evil: str) -> None:
    graph = LineageGraph("u", {f"source.{evil}": Table(f"source.{evil}", "source", {evil: ()})})
    page = render_lineage(graph, title=evil, chosen=[(f"source.{evil}", evil)])
    assert "<script>x" not in page
    assert '"><b' not in page.replace('"><b>u</b>', "")
