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
from mlforge_airflow.chains import data_chain, training_chain
from mlforge_airflow.operators.base import EFFECTS
from mlforge_airflow.operators.retry import BackoffWithJitter

ROOT = Path(__file__).resolve().parents[2]
CHAINS = ("data", "refresh", "training", "release", "monitoring", "walk_forward")
# Their runs come from a clock; those of the others from an asset.
TIMED = ("data", "walk_forward")
LIVE = {
    "data": {"request_training"},
    "refresh": set(),
    "training": {"promote"},
    "release": {"roll_out"},
    "monitoring": {"alert", "request_training", "reconcile"},
    "deadline": {"check_deadline"},
    "walk_forward": set(),
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
    chains = {f"{name}.{chain}" for name in list_use_cases() for chain in CHAINS}
    assert set(dags) - {f"{name}.deadline" for name in list_use_cases()} == chains
    for name in list_use_cases():
        assert (f"{name}.deadline" in dags) == (load_use_case(name).retraining.deadline is not None)


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
        live = {task.task_id for task in dag.tasks if getattr(task, "operator_class", task).effect == "live"}
        assert live == LIVE[dag_id.split(".")[1]]


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
        "walk_forward": ["assemble", "train", "score", "report"],
    }
    for dag_id, dag in dags.items():
        use_case, chain = dag_id.split(".")
        datasets = load_use_case(use_case).datasets if chain == "data" else ()
        order = list(orders.get(chain, []))
        if chain == "training" and load_use_case(use_case).training.searches:
            order[1:1] = ["plan_search", "run_trials", "choose"]
        whole = [order] if order else [_data_order(name) for name in datasets]
        for before, after in itertools.chain.from_iterable(map(itertools.pairwise, whole)):
            assert after in dag.get_task(before).downstream_task_ids, (dag_id, before, after)


def _data_order(dataset: str) -> list[str]:
    steps = [f"{dataset}.{step}" for step in ("extract", "check_contract", "publish")]
    return [*steps, "build_features", "materialize", "request_training"]


def test_assets_tie_the_chains_together(dags: dict[str, DAG]) -> None:
    outlets = {(task.dag.dag_id, task.task_id): [asset.uri for asset in task.outlets] for task in all_tasks(dags)}
    for name in list_use_cases():
        base = f"mlforge://{name}"
        assert outlets[f"{name}.data", "materialize"] == [f"{base}/features"]
        assert outlets[f"{name}.data", "mark_stale"] == [f"{base}/stale"]
        assert outlets[f"{name}.refresh", "materialize"] == [f"{base}/features"]
        assert outlets[f"{name}.data", "request_training"] == [f"{base}/training_request"]
        assert outlets[f"{name}.monitoring", "request_training"] == [f"{base}/training_request"]
        assert outlets[f"{name}.training", "promote"] == [f"{base}/champion"]
        assert outlets[f"{name}.release", "roll_out"] == [f"{base}/deployment"]
        listening = [chain for chain in CHAINS if chain not in TIMED]
        listens = {chain: dags[f"{name}.{chain}"].timetable.asset_condition.uri for chain in listening}
        assert listens == {
            "refresh": f"{base}/stale",
            "training": f"{base}/training_request",
            "release": f"{base}/champion",
            "monitoring": f"{base}/features",
        }


def test_each_publication_marks_what_it_made_stale_even_when_another_failed(dags: dict[str, DAG]) -> None:
    for name in list_use_cases():
        mark = dags[f"{name}.data"].get_task("mark_stale")
        assert mark.upstream_task_ids == {f"{dataset}.publish" for dataset in load_use_case(name).datasets}
        assert mark.trigger_rule == "all_done"
        assert mark.downstream_task_ids == set()


def test_materialize_runs_one_at_a_time(dags: dict[str, DAG]) -> None:
    for name in list_use_cases():
        assert dags[f"{name}.data"].get_task("materialize").max_active_tis_per_dag == 1
        assert dags[f"{name}.training"].max_active_runs == 1
        assert dags[f"{name}.release"].max_active_runs == 1


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("use_case", list_use_cases())
def test_a_dag_survives_serialization(dags: dict[str, DAG], use_case: str, chain: str) -> None:
    dag = dags[f"{use_case}.{chain}"]
    assert set(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids) == set(dag.task_ids)


@pytest.mark.parametrize("use_case", list_use_cases())
def test_a_schedule_that_has_ended_starts_nothing(dags: dict[str, DAG], use_case: str) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dags[f"{use_case}.data"]))
    assert serialized.next_dagrun_info(last_automated_run_info=None) is None


def test_a_backfill_has_the_keys_of_its_days(dags: dict[str, DAG], flight_delays: UseCase) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dags["flight_delays.data"]))
    days = flight_delays.partitions("2013-03-10..2013-03-12")
    infos = serialized.iter_dagrun_infos_between(days.start, days.end - timedelta(days=1))
    assert [info.partition_key for info in infos] == days.keys


def test_a_backfill_of_weeks_has_the_key_of_each_week(dags: dict[str, DAG]) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dags["household_spend.data"]))
    weeks = load_use_case("household_spend").partitions("2017-01-02..2017-12-25")
    infos = serialized.iter_dagrun_infos_between(weeks.start, weeks.end - timedelta(days=1))
    assert [info.partition_key for info in infos] == weeks.keys


def test_a_week_is_due_when_it_has_ended_and_is_named_by_its_first_day() -> None:
    shipped = load_use_case("household_spend")
    endless = shipped.model_copy(update={"schedule": shipped.schedule.model_copy(update={"end": None})})
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(data_chain(endless)))
    info = serialized.next_dagrun_info(last_automated_run_info=None)
    assert info is not None
    assert info.partition_key is not None
    assert info.run_after == endless.partitions(info.partition_key).end


def test_approval_stands_between_gate_and_promotion(flight_delays: UseCase) -> None:
    gates = flight_delays.gates.model_copy(update={"approval": True})
    dag = training_chain(flight_delays.model_copy(update={"gates": gates}))
    assert dag.get_task("gate").downstream_task_ids == {"approve", "promote"}
    assert dag.get_task("approve").downstream_task_ids == {"promote"}
    assert dag.get_task("approve").effect == "live"
