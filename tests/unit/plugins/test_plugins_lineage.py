"""What each operator says of its stage, from which its lineage is told."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import mlforge_airflow.operators
from mlforge.stages import STAGES
from mlforge_airflow.operators.base import StageOperator


def staged() -> dict[str, type[StageOperator]]:
    package = mlforge_airflow.operators
    for info in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{info.name}")
    found = [kind for kind in StageOperator.__subclasses__() if kind.__module__.startswith(package.__name__)]
    return {kind.__name__: kind for kind in found if kind.stage}


def test_every_stage_has_an_operator_that_tells_it() -> None:
    assert {kind.stage for kind in staged().values()} >= set(STAGES)


@pytest.mark.parametrize("name", sorted(staged()))
def test_an_operator_takes_the_ref_that_its_stage_takes(name: str) -> None:
    kind = staged()[name]
    assert bool(kind.takes) == (STAGES[kind.stage].input is not None)
    assert not kind.takes or kind.takes in kind.template_fields
