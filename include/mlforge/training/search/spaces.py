"""What a trial tries: a family, and its parameters out of the family's space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlforge.errors import MLForgeError, SpecError, TrainingError
from mlforge.spec import UseCase
from mlforge.training.families import family_space
from mlforge.training.plan import OWN, FitPlan
from mlforge.training.search.storage import quiet_optuna
from mlforge.training.search.summaries import DEFAULT

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

_FAMILY = "family"
_EXAMPLE = 'return {"max_depth": trial.suggest_int("max_depth", 3, 9)}'


def searched_families(use_case: UseCase) -> list[str]:
    """Return the families that are tried, each once; model.py's own where there is no search."""
    search = use_case.training.search
    return list(dict.fromkeys(search.families)) if search is not None else [OWN]


def default_plan(use_case: UseCase, family: str) -> FitPlan:
    """Return what a family fits when nothing is searched: `training.parameters`, or the family's own values."""
    return FitPlan(family, dict(use_case.training.parameters) if family == OWN else {})


def suggest_plan(use_case: UseCase, trial: Trial) -> FitPlan:
    """Return what a trial fits: parameters that the space does not name stay as `training.parameters` has them.

    Raises:
        TrainingError: The space gives a value that is neither number nor text.
    """
    if DEFAULT in trial.user_attrs:
        return default_plan(use_case, trial.user_attrs[DEFAULT])
    families = searched_families(use_case)
    family = trial.suggest_categorical(_FAMILY, families) if len(families) > 1 else families[0]
    tried = family_space(use_case, family, trial)
    odd = [f"{name}: {type(value).__name__}" for name, value in tried.items() if not _plain(value)]
    if odd:
        raise TrainingError(
            "parameters are numbers, texts, booleans, or lists of them",
            where=f"{use_case.name}, model.search_space",
            evidence=odd,
            hint="make an object of them in model.build_model",
        )
    return FitPlan(family, {**default_plan(use_case, family).parameters, **tried})


def waiting_defaults(use_case: UseCase) -> list[FrozenTrial]:
    """Return the trials that a study begins with: the default plan of each family.

    A parameter that lies in the space is noted with the trial, so that the sampler learns from it.

    Raises:
        SpecError: A space is empty.
    """
    return [_waiting(use_case, family) for family in searched_families(use_case)]


def require_spaces(use_case: UseCase) -> None:
    """Return when each family has something to search.

    Raises:
        SpecError: `model.search_space` is missing, fails, or gives nothing to try.
    """
    for family in searched_families(use_case):
        _space(use_case, family)


def _space(use_case: UseCase, family: str) -> dict[str, BaseDistribution]:
    """Return the parameters that a family's space asks for, and where they come from."""
    import optuna

    with quiet_optuna():
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    where = f"{use_case.folder / 'model.py'}, search_space" if family == OWN else f"{use_case.name}, {family}"
    try:
        tried = family_space(use_case, family, trial)
    except MLForgeError:
        raise
    except Exception as error:
        raise SpecError(
            f"the search space cannot be asked: {type(error).__name__}",
            where=where,
            evidence=[" ".join(str(error).split())[:300]],
            hint="correct model.search_space",
        ) from error
    free = {name: distribution for name, distribution in trial.distributions.items() if not distribution.single()}
    if not tried or not free:
        raise SpecError(
            "the search space is empty: there is nothing to try",
            where=where,
            hint=f"let model.search_space suggest at least one parameter, such as `{_EXAMPLE}`, "
            "or remove training.search",
        )
    return dict(trial.distributions)


def _waiting(use_case: UseCase, family: str) -> FrozenTrial:
    import optuna
    from optuna.distributions import CategoricalDistribution

    families = searched_families(use_case)
    known: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    if len(families) > 1:
        known, distributions = {_FAMILY: family}, {_FAMILY: CategoricalDistribution(families)}
    # Without a search there is no space; there is one trial.
    space = _space(use_case, family) if use_case.training.search is not None else {}
    for name, distribution in space.items():
        value = default_plan(use_case, family).parameters.get(name)
        if value is not None and _fits(name, value, distribution):
            known[name], distributions[name] = value, distribution
    return optuna.create_trial(
        state=optuna.trial.TrialState.WAITING,
        params=known,
        distributions=distributions,
        user_attrs={DEFAULT: family},
    )


def _fits(name: str, value: Any, distribution: BaseDistribution) -> bool:
    """Return whether a value lies in a space; one that does not is tried all the same, and the sampler is not told."""
    import optuna

    try:
        optuna.create_trial(value=0.0, params={name: value}, distributions={name: distribution})
    except (ValueError, TypeError):
        return False
    return True


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(each) for each in value)
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _plain(each) for name, each in value.items())
    return value is None or type(value) in (bool, int, float, str)
