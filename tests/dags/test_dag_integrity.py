"""Every DAG file parses, and every DAG and task keeps the house rules."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

import mlforge_airflow.operators
from mlforge.spec import UseCase, list_use_cases, load_use_case
from mlforge_airflow.chains import training_chain
from mlforge_airflow.operators.base import EFFECTS
from mlforge_airflow.operators.retry import BackoffWithJitter

ROOT = Path(__file__).resolve().parents[2]
CHAINS = ("data", "refresh", "training", "release", "monitoring")
LIVE = {
    "data": {"request_training"},
    "refresh": set(),
    "training": {"promote"},
    "release": {"roll_out"},
    "monitoring": {"alert"},
}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(ROOT / "dags", bundle_path=ROOT / "dags")


@pytest.fixture(scope="module")
def dags(bag: DagBag) -> dict[str, DAG]:
    return dict(bag.dags)


def all_tasks(dags: dict[str, DAG]) -> list[Any]:
    return [task for dag in dags.values() for task in dag.tasks]


def test_every_file_parses(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert not any(bag.captured_warnings.values())


def test_every_use_case_has_every_chain(dags: dict[str, DAG]) -> None:
    assert set(dags) == {f"{name}.{chain}" for name in list_use_cases() for chain in CHAINS}


def test_every_dag_says_what_it_is(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        use_case, chain = dag_id.split(".")
        assert {use_case, chain, "mlforge"} <= set(dag.tags)
        assert dag.description
        assert dag.doc_md
        assert dag.catchup is False
        assert dag.max_active_runs <= 4


def test_every_task_has_an_owner_a_text_and_retries_with_backoff(dags: dict[str, DAG]) -> None:
    for task in all_tasks(dags):
        assert task.owner == load_use_case(task.dag.dag_id.split(".")[0]).owner
        assert task.retries >= 1, task.task_id
        assert isinstance(task.retry_policy, BackoffWithJitter)
        assert task.retry_delay > timedelta(0)
        assert "**Effect:" in task.doc_md


def test_live_tasks_are_those_of_the_table(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        assert {task.task_id for task in dag.tasks if task.effect == "live"} == LIVE[dag_id.split(".")[1]]


def test_every_operator_declares_its_effect() -> None:
    package = mlforge_airflow.operators
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]
    operators = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.endswith("Operator")
        and isinstance(value, type)
        and issubclass(value, BaseOperator)
        and value.__module__.startswith(package.__name__)
        and name != "StageOperator"
    }
    assert len(operators) >= 19
    for operator in operators:
        assert vars(operator).get("effect") in EFFECTS, operator


def test_chains_are_in_the_order_of_the_design(dags: dict[str, DAG]) -> None:
    orders = {
        "training": ["assemble_training_set", "train", "evaluate", "gate", "promote"],
        "release": ["package", "verify", "roll_out"],
        "monitoring": ["join_outcomes", "assemble_partition", "drift", "alert"],
        "refresh": ["build_features", "materialize"],
        "data": [
            "flights.extract",
            "flights.check_contract",
            "flights.publish",
            "build_features",
            "materialize",
            "request_training",
        ],
    }
    for chain, order in orders.items():
        dag = dags[f"flight_delays.{chain}"]
        for before, after in itertools.pairwise(order):
            assert after in dag.get_task(before).downstream_task_ids, (before, after)


def test_assets_tie_the_chains_together(dags: dict[str, DAG]) -> None:
    outlets = {(task.dag.dag_id, task.task_id): [asset.uri for asset in task.outlets] for task in all_tasks(dags)}
    base = "mlforge://flight_delays"
    assert outlets["flight_delays.data", "materialize"] == [f"{base}/features"]
    assert outlets["flight_delays.data", "mark_stale"] == [f"{base}/stale"]
    assert outlets["flight_delays.refresh", "materialize"] == [f"{base}/features"]
    assert outlets["flight_delays.data", "request_training"] == [f"{base}/training_request"]
    assert outlets["flight_delays.training", "promote"] == [f"{base}/champion"]
    assert outlets["flight_delays.release", "roll_out"] == [f"{base}/deployment"]
    listens = {dag_id: dag.timetable.asset_condition.uri for dag_id, dag in dags.items() if ".data" not in dag_id}
    assert listens == {
        "flight_delays.refresh": f"{base}/stale",
        "flight_delays.training": f"{base}/training_request",
        "flight_delays.release": f"{base}/champion",
        "flight_delays.monitoring": f"{base}/features",
    }


def test_each_publication_marks_what_it_made_stale_even_when_another_failed(dags: dict[str, DAG]) -> None:
    data = dags["flight_delays.data"]
    mark = data.get_task("mark_stale")
    assert mark.upstream_task_ids == {"flights.publish", "weather.publish", "planes.publish"}
    assert mark.trigger_rule == "all_done"
    assert mark.downstream_task_ids == set()


def test_materialize_runs_one_at_a_time(dags: dict[str, DAG]) -> None:
    assert dags["flight_delays.data"].get_task("materialize").max_active_tis_per_dag == 1
    assert dags["flight_delays.training"].max_active_runs == 1
    assert dags["flight_delays.release"].max_active_runs == 1


@pytest.mark.parametrize("chain", CHAINS)
def test_a_dag_survives_serialization(dags: dict[str, DAG], chain: str) -> None:
    dag = dags[f"flight_delays.{chain}"]
    assert set(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids) == set(dag.task_ids)


def test_a_schedule_that_has_ended_starts_nothing(dags: dict[str, DAG]) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dags["flight_delays.data"]))
    assert serialized.next_dagrun_info(last_automated_run_info=None) is None


def test_a_backfill_has_the_keys_of_its_days(dags: dict[str, DAG], flight_delays: UseCase) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dags["flight_delays.data"]))
    days = flight_delays.partitions("2013-03-10..2013-03-12")
    infos = serialized.iter_dagrun_infos_between(days.start, days.end - timedelta(days=1))
    assert [info.partition_key for info in infos] == days.keys


def test_approval_stands_between_gate_and_promotion(flight_delays: UseCase) -> None:
    gates = flight_delays.gates.model_copy(update={"approval": True})
    dag = training_chain(flight_delays.model_copy(update={"gates": gates}))
    assert dag.get_task("gate").downstream_task_ids == {"approve", "promote"}
    assert dag.get_task("approve").downstream_task_ids == {"promote"}
    assert dag.get_task("approve").effect == "live"
