"""The steps of the demonstration, in order; each can be repeated, and a repeat publishes nothing new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from mlforge.demo.callers import Answers, ask, flights_of
from mlforge.demo.orchestrator import Orchestrator, Run
from mlforge.demo.summary import Summary, show_summary
from mlforge.refs import Candidate, DriftReport, PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case

USE_CASE = "flight_delays"
LOADED = PartitionRange.parse("2013-01-01..2013-03-31")
NEXT_DAY = PartitionRange.parse("2013-04-01")
DAY_AFTER = PartitionRange.parse("2013-04-02")
REPAIRED = PartitionRange.parse("2013-03-10..2013-03-12")
_CHAINS = ("data", "training", "release", "monitoring")
_RUN_SECONDS = 600.0
_NEXT_SECONDS = 60.0


class Demo:
    """The demonstration against a running installation.

    Args:
        settings: The installation.
        console: Where progress is shown.
    """

    def __init__(self, settings: Settings, console: Console) -> None:
        self.settings = settings
        self.console = console
        self.use_case: UseCase = load_use_case(USE_CASE)
        self.airflow = Orchestrator(settings)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show a step while it works, and a line with its time when it is done; yields a setter of its detail."""
        begun, detail = time.monotonic(), [""]
        spinner = Spinner("dots", text=title)

        def tell(text: str) -> None:
            detail[0] = text
            spinner.update(text=f"{title}  [dim]{text}[/dim]")

        with Live(spinner, console=self.console, transient=True, refresh_per_second=8):
            yield tell
        took = time.monotonic() - begun
        self.seconds[title] = took
        self.console.print(f"[green]✓[/green] {title}  [dim]{detail[0]}[/dim]  {took:.1f} s")

    def dag(self, chain: str) -> str:
        """Return the id of a chain's DAG."""
        return f"{USE_CASE}.{chain}"

    def follow(self, run: Run, tell: Callable[[str], None]) -> Run:
        """Wait for a run and tell which of its tasks is at work."""

        def progress(states: dict[str, str]) -> None:
            done = sum(state in {"success", "skipped"} for state in states.values())
            working = [task for task, state in states.items() if state in {"running", "queued", "scheduled"}]
            tell(f"{run.dag_id} {done}/{len(states)}  {' '.join(working)}")

        return self.airflow.wait(run, _RUN_SECONDS, progress)

    def follow_chain(self, first: Run, before: dict[str, str | None]) -> dict[str, Run]:
        """Follow a data run through the training and the release that it causes; returns the runs that came."""
        runs = {"data": first}
        key = first.partition_key or ""
        for chain, cause in (("training", "request_training"), ("release", "promote")):
            upstream = list(runs.values())[-1]
            if self.airflow.task_states(upstream).get(cause) != "success":
                self.console.print(f"  [dim]{cause} was skipped for {key}: see its log for the reason[/dim]")
                break
            with self.step(f"{chain.capitalize()} for {key}") as tell:
                tell("waiting for the scheduler")
                run = self.airflow.next_run(self.dag(chain), key, before[chain], _NEXT_SECONDS)
                runs[chain] = self.follow(run, tell)
                states = self.airflow.task_states(run)
                tell(", ".join(f"{task} {state}" for task, state in states.items()))
        return runs

    def start(self, partition_key: str, conf: dict[str, Any] | None = None) -> tuple[Run, dict[str, str | None]]:
        """Return a run of the data chain and the newest runs before it; one that still goes on is taken up."""
        underway = self.airflow.underway(self.dag("data"), partition_key)
        if underway is not None:
            return underway, dict.fromkeys(_CHAINS)
        before = self.newest()
        return self.airflow.trigger(self.dag("data"), partition_key, conf), before

    def newest(self) -> dict[str, str | None]:
        """Return the newest run of each chain, to tell later ones from it."""
        return {chain: self.airflow.last_run_id(self.dag(chain)) for chain in _CHAINS}

    def last_training(self) -> Run:
        """Return the newest training that ended well: a later day was published before, so this call caused none."""
        return self.airflow.last_success(self.dag("training"))

    def ref(self, run: Run, task: str) -> dict[str, Any]:
        """Return the ref that a task handed on."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task}/xcomEntries/return_value"
        value: dict[str, Any] = self.airflow.call("GET", path)["value"]
        return value

    def load(self) -> dict[str, Run]:
        """Load three months as one range and follow what it causes."""
        with self.step(f"Load {LOADED.key} as one range: extract, check, publish, features, online store") as tell:
            run, before = self.start(LOADED.last_key, {"from": str(LOADED.first), "to": str(LOADED.last)})
            self.follow(run, tell)
            tell(_published(self.use_case, LOADED))
        return self.follow_chain(run, before)

    def next_day(self) -> tuple[dict[str, Run], DriftReport]:
        """Run the next daily partition through every chain; returns the runs and the drift report."""
        with self.step(f"Next day {NEXT_DAY.key}: the nightly run") as tell:
            run, before = self.start(NEXT_DAY.key)
            self.follow(run, tell)
            tell(_published(self.use_case, NEXT_DAY))
        with self.step(f"Monitoring of {NEXT_DAY.key}: outcomes joined, drift measured") as tell:
            tell("waiting for the scheduler")
            monitoring = self.airflow.next_run(
                self.dag("monitoring"), NEXT_DAY.key, before["monitoring"], _NEXT_SECONDS
            )
            self.follow(monitoring, tell)
            report = DriftReport.load(self.ref(monitoring, "drift"))
            tell(f"{len(report.drifted)} of {len(report.scores)} columns drifted")
        return self.follow_chain(run, before), report

    def repair(self) -> None:
        """Backfill three earlier days through Airflow."""
        with self.step(f"Backfill {REPAIRED.key} through Airflow's own backfill") as tell:
            runs = self.airflow.backfill(self.dag("data"), REPAIRED, _RUN_SECONDS)
            skipped = [self.airflow.task_states(run).get("request_training") == "skipped" for run in runs]
            tell(f"{len(runs)} runs, {sum(skipped)} skipped what is live")

    def predict(self, day: PartitionRange, key: str, limit: int | None = None) -> Answers:
        """Ask about a day's flights over HTTP."""
        with self.step(f"Predictions over HTTP for flights of {day.key}") as tell:
            answers = ask(self.settings, self.use_case, key, flights_of(self.use_case, day, limit))
            tell(
                f"{len(answers.answers)} of {answers.sent} answered, "
                f"median {answers.median_ms:.1f} ms, p99 {answers.p99_ms:.1f} ms"
            )
        return answers


def _published(use_case: UseCase, days: PartitionRange) -> str:
    """Return a sentence about what stands in the warehouse for some days."""
    from mlforge import db

    with db.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(rows_published), 0), coalesce(sum(rows_quarantined), 0) FROM ("
            " SELECT DISTINCT ON (dataset, partition_key) rows_published, rows_quarantined FROM ledger.publications"
            " WHERE use_case = %s AND (partition_key BETWEEN %s AND %s OR partition_key = 'static')"
            " ORDER BY dataset, partition_key, version DESC) AS newest",
            [use_case.name, str(days.first), str(days.last)],
        ).fetchone()
    published, quarantined = row or (0, 0)
    return f"{published:,} rows published, {quarantined:,} quarantined"


def run_demo(settings: Settings, console: Console) -> None:
    """Run the demonstration against services that are up, and show what came of it.

    Raises:
        MLForgeError: A step failed; the message says which, why, and where to look.
    """
    from mlforge.serving import demo_key

    begun = time.monotonic()
    demo = Demo(settings, console)
    with demo.step("Airflow knows the DAGs"):
        demo.airflow.wait_for_dags([demo.dag(chain) for chain in _CHAINS])
    demo.load()
    key = demo_key()
    live = demo.predict(NEXT_DAY, key)
    runs, report = demo.next_day()
    demo.repair()
    last = demo.predict(DAY_AFTER, key, limit=20)
    candidate = Candidate.load(demo.ref(runs.get("training") or demo.last_training(), "evaluate"))
    show_summary(Summary(settings, demo.use_case, candidate, report, live, last, time.monotonic() - begun), console)
