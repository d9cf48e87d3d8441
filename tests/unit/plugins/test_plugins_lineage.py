"""What each operator says of its stage, from which its lineage is told."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import mlforge_airflow.operators
from mlforge.refs import Ref
from mlforge.settings import Settings
from mlforge.stages import STAGES
from mlforge_airflow.operators.approval import ApproveCandidateOperator
from mlforge_airflow.operators.base import StageOperator
from mlforge_airflow.operators.versions import CreateDatasetVersionOperator


def staged() -> dict[str, type[StageOperator]]:
    package = mlforge_airflow.operators
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{info.name}")
    found = [kind for kind in StageOperator.__subclasses__() if kind.__module__.startswith(package.__name__)]
    return {kind.__name__: kind for kind in found if kind.stage in STAGES}


def test_every_stage_has_an_operator_that_tells_it() -> None:
    assert {kind.stage for kind in staged().values()} >= set(STAGES)


@pytest.mark.parametrize("name", sorted(staged()))
def test_an_operator_takes_the_ref_that_its_stage_takes(name: str) -> None:
    kind = staged()[name]
    assert bool(kind.takes) == (STAGES[kind.stage].input is not None)
    assert not kind.takes or kind.takes in kind.template_fields


BASE = {"use_case": "flight_delays", "partition_key": "2013-04-01", "rows": 9, "content_hash": "h", "code_version": "c"}


def test_who_approves_reads_the_model_and_its_card(installation: Settings) -> None:
    training_set = {**BASE, "uri": "u", "as_of": "2013-04-02T00:00:00Z", "feature_service": "f", "publications": {}}
    candidate = {**BASE, "uri": "u", "run_id": "r", "model_name": "m", "model_version": 7, "training_set": training_set,
                 "metrics": {}, "baselines": {}}  # fmt: skip
    decision = {**BASE, "uri": "file:///cards/m/card.md", "passed": True, "reasons": [], "candidate": candidate,
                "champion_release": None}  # fmt: skip
    approve = ApproveCandidateOperator(task_id="approve", use_case="flight_delays", decision=decision)
    told = approve.get_openlineage_facets_on_complete(None)
    assert [(each.name, each.facets["version"].datasetVersion) for each in told.inputs] == [
        ("m", "7"),
        ("/cards/m", "h"),
    ]
    assert told.outputs == []


@pytest.mark.parametrize(
    ("series", "source"),
    [
        ("flight_delays/flights", "mlforge.warehouse.flight_delays__flights"),
        ("flight_delays/training-set", "/storage/training_sets/flight_delays"),
    ],
)
def test_a_version_is_made_of_what_is_published_or_assembled(installation: Settings, series: str, source: str) -> None:
    create = CreateDatasetVersionOperator(task_id="version", use_case="flight_delays", dataset="flights")
    create.stage_ref = Ref(**BASE, uri=f"dataset-version:{series}/v3")
    told = create.get_openlineage_facets_on_complete(None)
    assert [each.name.endswith(source) for each in told.inputs] == [True]
    [version] = told.outputs
    assert (version.namespace, version.name) == ("dataset-version", series)
    assert version.facets["version"].datasetVersion == "v3"
    assert version.outputFacets["outputStatistics"].rowCount == 9
