"""Airflow's REST API, as far as the demonstration speaks it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from mlforge.errors import MLForgeError, ServiceUnavailableError, TerminalError
from mlforge.refs import PartitionRange
from mlforge.settings import Settings

_POLL_SECONDS = 0.5
_FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}


@dataclass(frozen=True)
class Run:
    """A run of a DAG, as Airflow tells it."""

    dag_id: str
    run_id: str
    state: str
    partition_key: str | None
    run_type: str

    @classmethod
    def of(cls, body: dict[str, Any]) -> Run:
        """Return the run in an answer's body."""
        return cls(body["dag_id"], body["dag_run_id"], body["state"], body.get("partition_key"), body["run_type"])


class Orchestrator:
    """A client of the running Airflow, signed in as its administrator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx.Client(base_url=settings.airflow_url, timeout=60, trust_env=False)
        self._sign_in()

    def _sign_in(self) -> None:
        password = self._settings.secret("airflow_admin_password")
        answer = self._send("POST", "/auth/token", json={"username": "admin", "password": password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise ServiceUnavailableError(
                f"Airflow does not answer: {error}", where=path, hint="see `mlforge status`"
            ) from error

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to one call below /api/v2.

        Raises:
            ServiceUnavailableError: Airflow does not answer.
            TerminalError: It refuses; the message carries its reason.
        """
        answer = self._send(method, f"/api/v2{path}", **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._sign_in()
            answer = self._send(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise TerminalError(f"Airflow refuses {method} {path}: {answer.status_code}", evidence=[answer.text[:300]])
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body

    def wait_for_dags(self, dag_ids: list[str], seconds: float = 90) -> None:
        """Return when the DAGs are known and running, not paused.

        Raises:
            TerminalError: They are not, within the given seconds; the message carries import errors.
        """

        def known() -> bool:
            present = {dag["dag_id"] for dag in self.call("GET", "/dags", params={"limit": 100})["dags"]}
            return set(dag_ids) <= present

        if not _wait(known, seconds):
            errors = self.call("GET", "/importErrors")["import_errors"]
            raise TerminalError(
                "Airflow does not know the DAGs",
                evidence=[error["stack_trace"].strip().splitlines()[-1] for error in errors],
                hint="see `mlforge logs airflow-dag-processor`",
            )
        for dag_id in dag_ids:
            self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, partition_key: str, conf: dict[str, Any] | None = None) -> Run:
        """Return the new run of a DAG for a partition."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": conf or {}}
        return Run.of(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body))

    def underway(self, dag_id: str, partition_key: str) -> Run | None:
        """Return a run that a person started for a partition and that has not ended, if there is one."""
        for run in self._runs(dag_id):
            if run.partition_key == partition_key and run.run_type == "manual" and run.state not in _FINISHED:
                return run
        return None

    def last_run_id(self, dag_id: str) -> str | None:
        """Return the newest run's id."""
        runs = self._runs(dag_id)
        return runs[0].run_id if runs else None

    def last_success(self, dag_id: str) -> Run:
        """Return the newest run that ended well.

        Raises:
            TerminalError: There is none.
        """
        for run in self._runs(dag_id, 100):
            if run.state == "success":
                return run
        raise TerminalError("no run has ended well yet", where=dag_id, hint="look at it in Airflow")

    def _runs(self, dag_id: str, limit: int = 20) -> list[Run]:
        body = self.call("GET", f"/dags/{dag_id}/dagRuns", params={"order_by": "-id", "limit": limit})
        return [Run.of(item) for item in body["dag_runs"]]

    def next_run(self, dag_id: str, partition_key: str, after: str | None, seconds: float) -> Run:
        """Return the first run of a DAG for a partition that came after another run; without one, the newest.

        Raises:
            TerminalError: None comes within the given seconds.
        """
        found: list[Run] = []

        def came() -> bool:
            runs = self._runs(dag_id)
            later = list(itertools.takewhile(lambda run: run.run_id != after, runs))
            found[:] = [run for run in later if run.partition_key == partition_key]
            return bool(found)

        if not _wait(came, seconds):
            raise TerminalError(
                f"no run came within {seconds:.0f} s", where=f"{dag_id} {partition_key}", hint="look at it in Airflow"
            )
        return found[0] if after is None else found[-1]

    def task_states(self, run: Run) -> dict[str, str]:
        """Return the state of each task of a run."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        items = self.call("GET", path, params={"limit": 200})["task_instances"]
        return {item["task_id"]: item["state"] or "waiting" for item in items}

    def wait(self, run: Run, seconds: float, progress: Callable[[dict[str, str]], None] | None = None) -> Run:
        """Return the run when it has ended well.

        Raises:
            TerminalError: It failed, or takes longer; the message names its tasks and where their logs are.
        """
        latest = run

        def ended() -> bool:
            nonlocal latest
            latest = Run.of(self.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}"))
            if progress is not None:
                progress(self.task_states(run))
            return latest.state in _FINISHED

        if not _wait(ended, seconds):
            raise self._failure(latest, f"is still {latest.state} after {seconds:.0f} s")
        if latest.state != "success":
            raise self._failure(latest, latest.state)
        return latest

    def _failure(self, run: Run, what: str) -> MLForgeError:
        states = self.task_states(run)
        blamed = [f"{task} {state}" for task, state in states.items() if state not in {"success", "skipped"}]
        page = f"{self._settings.airflow_url}/dags/{run.dag_id}/runs/{run.run_id}"
        return TerminalError(f"the run {what}", where=run.dag_id, evidence=blamed, hint=f"read the logs at {page}")

    def backfill(self, dag_id: str, days: PartitionRange, seconds: float) -> list[Run]:
        """Return the runs of a backfill over some days, made by Airflow itself, when all have ended.

        Raises:
            TerminalError: Airflow refuses it, or a run does not end well.
        """
        # Airflow marks a backfill as completed only twice a minute, and takes one of a DAG at a time.
        _wait(lambda: not self._active_backfills(dag_id), seconds)
        first, last = self._backfill_dates(dag_id, days)
        before = {run.run_id for run in self._runs(dag_id, 100)}
        body = {"dag_id": dag_id, "from_date": first, "to_date": last, "reprocess_behavior": "completed"}
        self.call("POST", "/backfills", json={**body, "max_active_runs": 3})
        runs: list[Run] = []

        def ended() -> bool:
            runs[:] = [
                run
                for run in self._runs(dag_id, 100)
                if run.partition_key in days.keys and run.run_type == "backfill" and run.run_id not in before
            ]
            return len(runs) == len(days) and all(run.state in _FINISHED for run in runs)

        if not _wait(ended, seconds):
            raise TerminalError(f"the backfill is not done after {seconds:.0f} s", where=f"{dag_id} {days.key}")
        failed = [run.partition_key for run in runs if run.state != "success"]
        if failed:
            raise TerminalError("the backfill failed", where=dag_id, evidence=failed, hint="look at it in Airflow")
        return runs

    def _active_backfills(self, dag_id: str) -> list[int]:
        found = self.call("GET", "/backfills", params={"dag_id": dag_id})["backfills"]
        return [item["id"] for item in found if item["completed_at"] is None]

    def _backfill_dates(self, dag_id: str, days: PartitionRange) -> tuple[str, str]:
        """Ask Airflow which of its dates have the keys: its timetable may run a day after its partition."""
        margin = timedelta(days=2)
        body = {
            "dag_id": dag_id,
            "from_date": (days.start - margin).isoformat(),
            "to_date": (days.end + margin).isoformat(),
            "reprocess_behavior": "completed",
        }
        planned = self.call("POST", "/backfills/dry_run", json=body)["backfills"]
        dates = [
            item["partition_date"] or item["logical_date"] for item in planned if item["partition_key"] in days.keys
        ]
        if len(dates) != len(days):
            raise TerminalError("Airflow plans no run for each of the days", where=dag_id, evidence=days.keys)
        return min(dates), max(dates)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
