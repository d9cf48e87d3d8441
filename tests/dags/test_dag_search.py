"""The training chain of use cases that search before they train."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization

from mlforge.spec import UseCase
from mlforge.spec.search import FeatureSelection, Search
from mlforge_airflow.chains import training_chain
from mlforge_airflow.operators.retry import BackoffWithJitter


def chain(use_case: UseCase, **training: Any) -> DAG:
    return training_chain(
        use_case.model_copy(update={"training": use_case.training.model_copy(update={"search": None, **training})})
    )


def order(dag: DAG) -> dict[str, set[str]]:
    return {task.task_id: task.downstream_task_ids for task in dag.tasks}


def test_without_a_search_the_chain_stays_as_it_is(flight_delays: UseCase) -> None:
    assert order(chain(flight_delays)) == {
        "assemble_training_set": {"train"},
        "train": {"evaluate"},
        "evaluate": {"gate"},
        "gate": {"promote"},
        "promote": set(),
    }


@pytest.mark.parametrize("training", [{"search": Search()}, {"select_features": FeatureSelection()}])
def test_a_search_stands_before_training(flight_delays: UseCase, training: dict[str, Any]) -> None:
    dag = chain(flight_delays, **training)
    tasks = order(dag)
    assert tasks["assemble_training_set"] == {"plan_search"}
    assert tasks["plan_search"] == {"run_trials", "choose"}
    assert tasks["run_trials"] == {"choose"}
    assert tasks["choose"] == {"train"}
    assert dag.get_task("train").training_set.operator.task_id == "choose"


def test_the_trials_are_one_mapped_task_for_each_worker_with_the_habits_of_all_tasks(flight_delays: UseCase) -> None:
    dag = chain(flight_delays, search=Search())
    run = dag.get_task("run_trials")
    assert isinstance(run, MappedOperator)
    assert run.operator_class.effect == "partition"
    assert run.owner == flight_delays.owner
    assert run.retries >= 1
    assert run.retry_delay > timedelta(0)
    assert isinstance(run.partial_kwargs["retry_policy"], BackoffWithJitter)
    assert "**Effect:" in str(run.doc_md)
    assert set(DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids) == set(dag.task_ids)


def test_planning_names_the_search_once_for_each_worker(flight_delays: UseCase) -> None:
    from mlforge.refs import PlannedSearch, TrainingSet

    base: dict[str, Any] = {"use_case": "u", "partition_key": "2013-04-01", "uri": "u", "rows": 1}
    base |= {"content_hash": "h", "code_version": "c"}
    examples = TrainingSet(**base, as_of="2013-04-02T00:00:00Z", feature_service="f", publications={})
    planned = PlannedSearch(**base, training_set=examples, study="s", workers=3)
    assert [PlannedSearch.load(share.dump()).worker for share in planned.shares] == [0, 1, 2]
