"""What docs/models.md shows is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlforge.settings import get_settings
from mlforge.spec.training import Training
from mlforge.training.fitting import fit_model
from model_examples import own_use_case, small_examples

BLOCKS = re.findall(
    r"```(python|yaml)\n(.*?)```", (get_settings().root / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL
)
MODULES = [text for kind, text in BLOCKS if kind == "python"]
SETTINGS: list[dict[str, Any]] = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"]


@pytest.mark.parametrize("module", MODULES)
def test_an_example_can_be_fitted(tmp_path: Path, module: str) -> None:
    own = {"losses": ["cost_of_a_wait"], "metrics": ["warned_share"]} if "warned_share" in module else {}
    use_case = own_use_case(tmp_path, module, trusted_types=["model.NearestCentre"], **own)
    if "build_model" not in module:
        use_case = use_case.model_copy(update={"gates": use_case.gates.model_copy(update={"metric": "cost_of_a_wait"})})
    metrics = fit_model(use_case, small_examples()).metrics
    assert metrics["validation_auc"] > 0.6
    assert {f"validation_{name}" for names in own.values() for name in names} <= set(metrics)


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_example_of_settings_is_valid(settings: dict[str, Any]) -> None:
    assert Training.model_validate({"outcome": ["arr_delay"], **settings["training"]})
