from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.training.reproduce import Recorded
from mlforge.training.tracking import environment
from mlforge.training.tracking.origin import Origin
from mlforge.training.tracking.parameters import NOT_SET, model_parameters
from mlforge.training.tracking.processes import is_gone, this_process
from mlforge.training.tracking.resources import ResourceMeter


def test_parameters_have_one_name_whatever_the_library_calls_them() -> None:
    ours = model_parameters({"n_estimators": 10, "learning_rate": 0.1, "max_leaves": 31, "reg_lambda": 1.0})
    theirs = model_parameters({"num_iterations": 10, "eta": 0.1, "num_leaves": 31, "lambda_l2": 1.0})
    scikit = model_parameters({"max_iter": 10, "learning_rate": 0.1, "max_leaf_nodes": 31, "l2_regularization": 1.0})
    assert ours == theirs == scikit
    assert ours["max_depth"] == NOT_SET
    assert model_parameters({"max_iter": 100}, boosted=False)["n_estimators"] == NOT_SET


def test_two_names_for_one_thing_are_both_kept() -> None:
    named = model_parameters({"n_estimators": 10, "num_iterations": 20})
    assert (named["n_estimators"], named["num_iterations"]) == ("10", "20")


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(min_size=1), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
)
def test_no_parameter_is_lost(given_parameters: dict[str, object]) -> None:
    named = model_parameters(given_parameters)
    assert all(isinstance(value, str) for value in named.values())
    assert len(named) >= len(given_parameters)


def test_a_process_is_gone_when_it_has_ended_or_when_an_hour_has_passed() -> None:
    now, own = datetime.now(UTC), json.loads(this_process())
    assert not is_gone(json.dumps(own), now)
    assert is_gone(json.dumps(own), now + timedelta(hours=1, seconds=1))
    assert is_gone(json.dumps({**own, "started": own["started"] - 1}), now)  # its number was given to another one
    assert not is_gone(json.dumps({**own, "host": "elsewhere", "pid": 2**22 + 1}), now)
    for text in ("", "{}", "[]", "null", '{"since": "yesterday"}', '{"since": "2013-01-01"}'):
        assert is_gone(text, now)


def test_what_fitting_costs_is_measured_even_where_it_is_over_at_once() -> None:
    with ResourceMeter() as used:
        content = os.urandom(1000)
    assert len(content) == 1000
    assert len(used.samples) >= 1
    assert used.metrics["system/fit_seconds"] >= 0
    assert used.metrics["system/fit_peak_memory_megabytes"] == max(memory for _, _, memory in used.samples)


def test_a_checkout_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        root = tmp_path

    monkeypatch.setattr(environment, "get_settings", lambda: Elsewhere)
    assert environment.git_tags() == {}


def _recorded(differing: dict[str, tuple[str, str]], *, as_committed: bool = True, commit: str = "0" * 40) -> Recorded:
    used = {"python": "3.11.7", "platform": "linux x86_64"}
    return Recorded(
        version=1,
        uri="models:/m-1",
        run_id="run",
        origin=Origin.model_construct(fingerprints=used),
        commit=commit,
        as_committed=as_committed,
        dataset_version="",
        differing=differing,
    )


def test_hints_bring_back_what_differs_and_nothing_else() -> None:
    pair = ("before", "now")
    assert _recorded({}).hints == []
    assert _recorded({"settings": pair}).hints == [f"git checkout {'0' * 40}"]
    assert _recorded({"settings": pair}, commit="").hints == []
    assert "changed since" in _recorded({"model": pair}, as_committed=False).hints[0]
    assert _recorded({"lock": pair}).hints[1] == "uv sync --frozen --python 3.11.7"
    assert _recorded({"platform": pair}).hints[1] == "run it on linux x86_64"
