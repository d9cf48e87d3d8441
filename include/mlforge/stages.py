"""Each arrow between stages, once: what an operator runs and what `mlforge stage` runs.

A stage is a function of a `StageRun` and, mostly, the ref that the stage before it returned. The rooms are imported
inside, so that naming a stage costs nothing, not even pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlforge.errors import PromotionError, SpecError

if TYPE_CHECKING:
    from mlforge.ingest.releases import RowRelease
    from mlforge.refs import (
        Candidate,
        CheckedPartition,
        Deployment,
        DriftReport,
        FeaturePartition,
        GateDecision,
        PartitionRange,
        PlannedSearch,
        PublishedPartition,
        RawPartition,
        Ref,
        Release,
        TrainingSet,
        Tuning,
    )
    from mlforge.spec import UseCase
    from mlforge.training.requests import Answer


@dataclass(frozen=True)
class StageRun:
    """For what a stage runs.

    Attributes:
        use_case: The use case.
        days: Its partitions, one day or many.
        run_id: Who runs it, for the ledger: `dag/run`, or none for a command.
        dataset: The dataset, for stages that run once per dataset.
        who: Person or schedule behind the run.
        why: Why it runs; a promotion writes it down.
    """

    use_case: UseCase
    days: PartitionRange
    run_id: str | None = None
    dataset: str = ""
    who: str = "schedule"
    why: str = ""


def extract(run: StageRun) -> RawPartition:
    """Land the source's rows as a file."""
    from mlforge.ingest import extract_partition

    return extract_partition(run.use_case, run.dataset, run.days)


def check(run: StageRun, raw: RawPartition) -> CheckedPartition:
    """Check the rows against their contract; what was released from quarantine before is honoured."""
    from mlforge.contracts import check_partition
    from mlforge.ingest.releases import apply_releases
    from mlforge.ingest.waivers import waive_released

    return waive_released(run.use_case, check_partition(run.use_case, apply_releases(run.use_case, raw)))


def release_quarantined(run: StageRun, releases: Sequence[RowRelease]) -> PublishedPartition:
    """Publish a partition anew with rows that a person let out of quarantine.

    Raises:
        TerminalError: A row still breaks its contract; nothing is released.
        StaleAttemptError: A newer attempt has claimed the partition twice; the next one honours the releases.
    """
    from mlforge.contracts import check_partition
    from mlforge.errors import StaleAttemptError
    from mlforge.ingest.releases import published_raw, record_releases, replace_rows
    from mlforge.ingest.waivers import require_fixed, waive_released

    def attempt(*, record: bool) -> PublishedPartition:
        raw = published_raw(run.use_case, run.dataset, run.use_case.dataset_key(run.dataset, run.days))
        raw = replace_rows(run.use_case, raw, [each for each in releases if each.fixed is not None])
        checked = waive_released(run.use_case, check_partition(run.use_case, raw), releases)
        require_fixed(run.use_case, checked, releases)
        if record:
            # Before publication: an attempt that comes in between honours them already.
            record_releases(run.use_case, run.dataset, releases, who=run.who, why=run.why)
        return publish(run, checked)

    try:
        return attempt(record=True)
    except StaleAttemptError:
        return attempt(record=False)


def publish(run: StageRun, checked: CheckedPartition) -> PublishedPartition:
    """Publish the rows that keep their contract."""
    from mlforge.ingest import publish_partition

    return publish_partition(run.use_case, checked, run_id=run.run_id)


def build_features(run: StageRun) -> FeaturePartition:
    """Compute the feature views of the days."""
    from mlforge.features import build_features as build

    return build(run.use_case, run.days, run_id=run.run_id)


def stale_keys(run: StageRun) -> list[str]:
    """Name the partitions built before whose input has changed, but for those of the run itself."""
    from mlforge.features.stale import refreshable_keys

    return refreshable_keys(run.use_case, without=run.days.keys)


def materialize(run: StageRun, built: FeaturePartition) -> FeaturePartition:
    """Write the features to the online store."""
    from mlforge.features import materialize_features

    return materialize_features(run.use_case, built, run_id=run.run_id)


def assemble(run: StageRun) -> TrainingSet:
    """Assemble the training set as of the end of the days."""
    from mlforge.features import assemble_training_set

    return assemble_training_set(run.use_case, run.days, run_id=run.run_id)


def plan_search(run: StageRun, training_set: TrainingSet) -> PlannedSearch:
    """Plan the search for parameters, families and columns, or take an earlier finding."""
    from mlforge.training.search import plan_search as plan

    return plan(run.use_case, training_set)


def run_trials(run: StageRun, planned: PlannedSearch) -> PlannedSearch:
    """Run trials until the search's budget is used up; others may do the same meanwhile."""
    from mlforge.training.search import run_trials as work

    return work(run.use_case, planned)


def choose(run: StageRun, planned: PlannedSearch) -> Tuning:
    """Choose the best trial, and the columns that are worth it."""
    from mlforge.training.search import choose_tuning

    return choose_tuning(run.use_case, planned, run_id=run.run_id)


def train(run: StageRun, given: TrainingSet | Tuning) -> Candidate:
    """Train a candidate, with what a search found where there was one."""
    from mlforge.training import train_candidate

    return train_candidate(run.use_case, given, run_id=run.run_id)


def evaluate(run: StageRun, candidate: Candidate) -> Candidate:
    """Score the candidate and its baselines on the test days."""
    from mlforge.training import evaluate_candidate

    return evaluate_candidate(run.use_case, candidate)


def gate(run: StageRun, candidate: Candidate) -> GateDecision:
    """Decide whether the candidate may become champion."""
    from mlforge.registry import gate_candidate

    return gate_candidate(run.use_case, candidate, run_id=run.run_id)


def promote(run: StageRun, decision: GateDecision) -> Release:
    """Make the candidate champion.

    Raises:
        PromotionError: The gate refused it.
    """
    from mlforge.registry import promote_candidate

    if not decision.passed:
        raise PromotionError(
            "the gate refused the candidate", where=f"{run.use_case.name} promote", evidence=decision.reasons
        )
    return promote_candidate(run.use_case, decision, who=run.who, why=run.why, run_id=run.run_id)


def reconcile(run: StageRun) -> int:
    """Let MLflow show what the release ledger says; returns how many things had to be repaired."""
    from mlforge.registry import reconcile_releases

    return len(reconcile_releases(run.use_case, who=run.who, run_id=run.run_id))


def package(run: StageRun) -> Release:
    """Build the bento of the champion.

    Raises:
        PromotionError: There is no champion.
    """
    from mlforge.db.ledger import champion
    from mlforge.features.plan import write_plan
    from mlforge.serving import package_release

    release = champion(run.use_case.name)
    if release is None:
        raise PromotionError("there is no champion", where=run.use_case.name, hint="train and promote one first")
    # Beside the model lies what is read online for it: the server need not import Feast, which takes seconds.
    add_plan = partial(write_plan, feature_service=release.feature_service, bento=release.bento)
    return package_release(run.use_case, release, run_id=run.run_id, add_files=add_plan)


def verify(run: StageRun, release: Release) -> Release:
    """Start the release's server without traffic and compare its answers with offline scores."""
    from mlforge.serving import verify_release

    return verify_release(run.use_case, release, run_id=run.run_id)


def roll_out(run: StageRun, release: Release) -> Deployment:
    """Move the traffic to the release."""
    from mlforge.serving import roll_out_release

    return roll_out_release(run.use_case, release, run_id=run.run_id)


def monitored_days(run: StageRun) -> PartitionRange:
    """Return the days that monitoring compares together: the window that ends with the newest day of the run."""
    return run.use_case.trailing_partitions(run.days, run.use_case.monitors.window_days)


def join_outcomes(run: StageRun) -> int:
    """Join what happened to the predictions of the monitored days; returns how many were joined."""
    from mlforge.monitoring import join_outcomes as join

    return join(run.use_case, monitored_days(run), run_id=run.run_id)


def assemble_partition(run: StageRun) -> TrainingSet:
    """Assemble the examples of the monitored days with their features."""
    from mlforge.features import assemble_partition as assemble_days

    return assemble_days(run.use_case, monitored_days(run))


def drift(run: StageRun, current: TrainingSet) -> DriftReport:
    """Measure drift and performance against the champion's training set."""
    from mlforge.monitoring import measure_drift

    return measure_drift(run.use_case, current, run_id=run.run_id)


def alert(run: StageRun, report: DriftReport) -> int:
    """Raise the alerts that a report gives cause for; returns how many were raised."""
    from mlforge.monitoring import raise_alerts

    return raise_alerts(run.use_case, report, run_id=run.run_id)


def request_training(
    run: StageRun,
    *,
    report: DriftReport | None = None,
    obstacle: str = "",
    insists: bool = False,
    by_hand: bool = False,
) -> Answer:
    """Ask for a training as of the newest day of the run, if there is cause for one, and write down why or why not.

    Args:
        run: Who asks.
        report: What monitoring found; without it, that the partition is new is the cause.
        obstacle: Why the run must not touch what is live; empty when it may.
        insists: Whether a person said that it shall be asked for even when nothing has changed.
        by_hand: Whether a person started the run.
    """
    from mlforge.training.requests import Wish, request_training

    wish = Wish("partition", obstacle=obstacle, insists=insists, by_hand=by_hand, who=run.who, run_id=run.run_id)
    if report is not None:
        from mlforge.monitoring import retraining_cause

        found = retraining_cause(run.use_case, report)
        wish = replace(wish, cause="drift", helps=found.helps, why=found.why)
    return request_training(run.use_case, run.days, wish)


def note_training(run: StageRun) -> None:
    """Write down that a person started the training that the run is."""
    from mlforge.training.requests import note_training

    note_training(run.use_case, run.days, who=run.who, run_id=run.run_id)


@dataclass(frozen=True)
class Stage:
    """A stage in the order of its chain.

    Attributes:
        function: Takes a `StageRun` and, when there is `needs`, the ref of that stage.
        needs: Name of the stage whose ref it takes.
        input: Kind of that ref, by its name in `mlforge.refs`.
        per_dataset: Whether it runs once per dataset.
        searched: The same as `needs` and `input` for a use case that searches before it trains.
    """

    function: Callable[..., Ref | int]
    needs: str | None = None
    input: str | None = None
    per_dataset: bool = False
    searched: tuple[str, str] | None = None

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").splitlines()[0]

    def before(self, use_case: UseCase) -> str | None:
        """Return the name of the stage whose ref it takes for a use case."""
        if self.searched is not None and use_case.training.searches:
            return self.searched[0]
        return self.needs

    def load_input(self, value: dict[str, Any] | Ref) -> Ref:
        """Return the ref that the stage takes, from what `dump` wrote.

        Raises:
            SpecError: It is no such ref, or the stage takes none.
        """
        from pydantic import ValidationError

        from mlforge import refs

        if self.input is None:
            raise SpecError("the stage takes no ref", hint="leave the input out")
        kind: type[Ref] = getattr(refs, self.input)
        try:
            if self.searched is not None and (isinstance(value, refs.Tuning) or "training_set" in dict(value)):
                kind = getattr(refs, self.searched[1])
            return kind.load(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SpecError(f"this is no {kind.__name__}: `{place}`: {first['msg']}") from None


STAGES: dict[str, Stage] = {
    "extract": Stage(extract, per_dataset=True),
    "check": Stage(check, "extract", "RawPartition", per_dataset=True),
    "publish": Stage(publish, "check", "CheckedPartition", per_dataset=True),
    "build-features": Stage(build_features),
    "materialize": Stage(materialize, "build-features", "FeaturePartition"),
    "assemble": Stage(assemble),
    "plan-search": Stage(plan_search, "assemble", "TrainingSet"),
    "run-trials": Stage(run_trials, "plan-search", "PlannedSearch"),
    "choose": Stage(choose, "run-trials", "PlannedSearch"),
    "train": Stage(train, "assemble", "TrainingSet", searched=("choose", "Tuning")),
    "evaluate": Stage(evaluate, "train", "Candidate"),
    "gate": Stage(gate, "evaluate", "Candidate"),
    "promote": Stage(promote, "gate", "GateDecision"),
    "reconcile": Stage(reconcile),
    "package": Stage(package),
    "verify": Stage(verify, "package", "Release"),
    "roll-out": Stage(roll_out, "verify", "Release"),
    "join-outcomes": Stage(join_outcomes),
    "assemble-partition": Stage(assemble_partition),
    "drift": Stage(drift, "assemble-partition", "TrainingSet"),
    "alert": Stage(alert, "drift", "DriftReport"),
}
