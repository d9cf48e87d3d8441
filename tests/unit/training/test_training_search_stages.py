"""The stages of a search, and what training takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlforge.errors import SpecError
from mlforge.refs import TrainingSet, Tuning
from mlforge.spec.search import FeatureSelection
from mlforge.stages import STAGES
from mlforge.training.search.choosing import best_trial
from mlforge.training.search.summaries import TrialSummary
from search_cases import small_use_case

BASE: dict[str, Any] = {"use_case": "u", "partition_key": "2013-04-01", "uri": "u", "rows": 1}
BASE |= {"content_hash": "h", "code_version": "c"}
EXAMPLES = TrainingSet(**BASE, as_of=datetime(2013, 4, 2, tzinfo=UTC), feature_service="f", publications={})
TUNING = Tuning(**BASE, training_set=EXAMPLES, family="own", parameters={"max_depth": 3})


def test_training_needs_what_was_chosen_where_something_is_searched() -> None:
    train = STAGES["train"]
    assert train.before(small_use_case()) == "choose"
    assert train.before(small_use_case(search=None, select_features=FeatureSelection())) == "choose"
    assert train.before(small_use_case(search=None)) == "assemble"
    assert STAGES["evaluate"].before(small_use_case()) == "train"


@pytest.mark.parametrize("ref", [EXAMPLES, TUNING])
def test_training_takes_a_training_set_or_what_was_chosen(ref: TrainingSet | Tuning) -> None:
    assert STAGES["train"].load_input(ref.dump()) == ref
    assert STAGES["train"].load_input(ref) == ref


def test_another_ref_is_refused_with_the_kind_that_it_resembles() -> None:
    with pytest.raises(SpecError, match="this is no Tuning"):
        STAGES["train"].load_input({"training_set": EXAMPLES.dump()})
    with pytest.raises(SpecError, match="this is no TrainingSet"):
        STAGES["train"].load_input({"colour": "blue"})
    with pytest.raises(SpecError, match="this is no TrainingSet"):
        STAGES["plan-search"].load_input(TUNING.dump())


def test_of_equal_trials_the_first_is_the_best_and_the_pruned_are_none() -> None:
    values = [("complete", 0.5), ("pruned", 0.1), ("complete", 0.4), ("complete", 0.4), ("failed", None)]
    trials = [TrialSummary(number, state, "own", value=value) for number, (state, value) in enumerate(values)]  # type: ignore[arg-type]
    assert best_trial(small_use_case(), trials).number == 2
