"""A walk through history, week by week, beside a bare script that makes the same XGBoost fits on the same matrices.

By itself it takes the last day of the history and the first week of the walk: the whole year, all weeks, is
`python benchmarks/walk_forward.py 2013-12-30 2013-01-28`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

from database import database
from figures import Figure, show

LAST_DAY, FIRST_WEEK = "2013-06-30", "2013-04-15"


def measure(last_day: str = LAST_DAY, first_week: str = FIRST_WEEK) -> list[Figure]:
    with database():
        from mlforge.features import close_store

        use_case = _load(last_day)
        figures = _walk(use_case, first_week)
        close_store()
    return figures


def _load(last_day: str) -> Any:
    """Publish the flights up to a day and build their features, in bulk."""
    from mlforge import stages
    from mlforge.features import apply_features
    from mlforge.refs import PartitionRange
    from mlforge.spec import load_use_case

    use_case = load_use_case("flight_delays")
    days = PartitionRange.between(str(use_case.schedule.start), last_day)
    schedule = use_case.schedule.model_copy(update={"end": days.last})
    use_case = use_case.model_copy(update={"schedule": schedule})
    apply_features(use_case)
    run = stages.StageRun(use_case, days)
    for dataset in use_case.datasets:
        each = replace(run, dataset=dataset)
        stages.publish(each, stages.check(each, stages.extract(each)))
    stages.build_features(run)
    return use_case


class BareFits:
    """Fits again, by XGBoost alone, what training has fitted."""

    def __init__(self) -> None:
        self._calls: list[tuple[Any, Any, Any]] = []
        self.seconds = 0.0
        self.processor = 0.0
        self.fits = 0

    def note(self, estimator: Any, train: Any, validation: Any) -> None:
        from sklearn.base import clone

        self._calls.append((clone(estimator), train, validation))

    def repeat(self) -> None:
        from xgboost.callback import EarlyStopping

        for estimator, train, validation in self._calls:
            begun, used = time.perf_counter(), time.process_time()
            estimator.set_params(callbacks=[EarlyStopping(rounds=30, save_best=True)])
            estimator.fit(train.matrix, train.labels, eval_set=[(validation.matrix, validation.labels)], verbose=False)
            self.seconds += time.perf_counter() - begun
            self.processor += time.process_time() - used
            self.fits += 1
        self._calls.clear()


def _walk(use_case: Any, first_week: str) -> list[Figure]:
    import numpy as np
    import xgboost

    from mlforge.training.estimators.boosted import XGBoostFitter
    from mlforge.walk_forward.report import write_report
    from mlforge.walk_forward.walk import run_week
    from mlforge.walk_forward.weeks import last_week, parse_weeks

    xgboost.XGBClassifier(n_estimators=1).fit(np.eye(4), [0, 1, 0, 1])
    bare, fit = BareFits(), XGBoostFitter.fit

    def noted(self: Any, case: Any, estimator: Any, features: Any, train: Any, validation: Any) -> Any:
        kinds = ["c" if feature.kind == "category" else "q" for feature in features]
        same = {"random_state": 20130101, "n_jobs": 1, "enable_categorical": True, "feature_types": kinds}
        bare.note(estimator.set_params(**same), train, validation)
        return fit(self, case, estimator, features, train, validation)

    XGBoostFitter.fit = noted  # type: ignore[method-assign]
    weeks, ours, processor = parse_weeks(use_case, f"{first_week}..{last_week(use_case).key}"), [], 0.0
    for week in weeks:
        begun, used = time.perf_counter(), time.process_time()
        write_report(use_case, run_week(use_case, week.key))
        ours.append(time.perf_counter() - begun)
        processor += time.process_time() - used
        bare.repeat()
        print(f"{week.key}: {ours[-1]:.1f} s, bare {bare.seconds:.1f} s of {sum(ours):.1f} s", file=sys.stderr)
    XGBoostFitter.fit = fit  # type: ignore[method-assign]
    what = f"walk forward, {len(weeks)} weeks × 4 policies, {bare.fits} trainings"
    beside = f"bare script {bare.seconds / bare.fits:.2f} s per training"
    # The processor's time tells more than the clock where others use the machine; PostgreSQL's is not in it.
    ratio = f"of processor times {processor / bare.processor:.2f}"
    return [
        Figure(f"{what}: per training", sum(ours) / bare.fits, "s", "", beside),
        Figure(f"{what}: ratio to the bare script", sum(ours) / bare.seconds, "", "≤ 1.5", ratio),
    ]


if __name__ == "__main__":
    show(measure(*sys.argv[1:3]))
