"""Promoters in processes of their own, which can be killed before any of their effects on the world.

Run as `python promoter.py` it reads one JSON object a line, `{"promotions": [decision, …], "kill_before": n}`, makes
each promotion in a child of its own, all at once, and answers with what became of them. An effect is a statement or a
commit at PostgreSQL or a request to MLflow: between two effects nothing changes that outlives the process, so that
killing it before each of them is killing it everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


class Effects:
    """Counts effects and kills the process before one of them.

    Args:
        kill_before: Which one, from 1; 0 for none.
    """

    def __init__(self, kill_before: int) -> None:
        self._kill_before = kill_before
        self.names: list[str] = []

    def watch(self, owner: Any, name: str) -> None:
        """Count the calls of a method."""
        original: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.names.append(_describe(name, arguments))
            if len(self.names) == self._kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        setattr(owner, name, watched)


def _describe(name: str, arguments: tuple[Any, ...]) -> str:
    if name == "send":
        return f"{arguments[1].method} {arguments[1].path_url}".split("?")[0]
    text = arguments[1] if name == "execute" else name
    return " ".join((text.decode() if isinstance(text, bytes) else str(text)).split()[:3])


def _promote(value: dict[str, Any], who: str, kill_before: int) -> dict[str, Any]:
    import psycopg
    import requests

    from mlforge import refs, registry
    from mlforge.errors import PromotionError
    from mlforge.spec import load_use_case

    effects = Effects(kill_before)
    effects.watch(psycopg.Cursor, "execute")
    effects.watch(psycopg.Connection, "commit")
    effects.watch(requests.Session, "send")
    decision = refs.GateDecision.load(value)
    try:
        release = registry.promote_candidate(load_use_case(decision.use_case), decision, who=who, why="a test")
    except PromotionError as error:
        return {"error": str(error), "who": who}
    return {"release": release.release_id, "who": who, "effects": effects.names}


def _start(value: dict[str, Any], who: str, kill_before: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.write(writing, json.dumps(_promote(value, who, kill_before)).encode())
    finally:
        os._exit(0)


def _outcome(child: int, reading: int) -> dict[str, Any]:
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    outcome: dict[str, Any] = json.loads(said) if said else {}
    return {**outcome, "killed": os.WIFSIGNALED(status)}


def _import_all() -> None:
    """Import once what every child needs; no connection stays open that they could share."""
    import mlflow
    import xgboost

    import mlforge.registry
    from mlforge.spec import load_use_case
    from mlforge.spec.module import load_model_module

    load_model_module(load_use_case("flight_delays"))
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    with contextlib.suppress(mlflow.MlflowException):
        # Nobody answers there, but on the way MLflow imports its plugins, which takes seconds.
        mlflow.artifacts.download_artifacts(artifact_uri="models:/m-" + "0" * 32)
    _ = (xgboost.Booster, mlforge.registry.promote_candidate)


def main() -> None:
    """Answer until the input ends."""
    _import_all()

    for line in sys.stdin:
        asked = json.loads(line)
        started = [
            _start(value, f"promoter {number}", asked.get("kill_before", 0))
            for number, value in enumerate(asked["promotions"])
        ]
        sys.stdout.write(json.dumps([_outcome(*each) for each in started]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
