from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tracking_proxy import TrackingProxy, tracking_proxy

from flight_examples import make_training_set
from mlforge import training
from mlforge.errors import RetryableError, ServiceUnavailableError
from mlforge.models import load_model
from mlforge.refs import Candidate, TrainingSet
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.tracking import configure_tracking
from mlforge.training import train as train_module
from mlforge.training.tracking.abandoned import mark_abandoned_runs
from mlforge.training.tracking.processes import this_process

pytestmark = pytest.mark.integration

NAME = "fault_delays"


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    loaded = load_use_case("flight_delays")
    settings = {"minimum_rows": 100, "parameters": {"n_estimators": 10, "max_depth": 3}}
    changed = loaded.training.model_copy(update=settings)
    return loaded.model_copy(update={"name": NAME, "training": changed})


@pytest.fixture
def proxy(mlflow_server: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingProxy]:
    """A proxy before the tests' MLflow; this process's MLflow is behind it."""
    with tracking_proxy((mlflow_server.mlflow_host, mlflow_server.mlflow_port)) as opened:
        with monkeypatch.context() as patch:
            patch.setenv("MLFORGE_MLFLOW_PORT", str(opened.port))
            patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
            get_settings.cache_clear()
            configure_tracking()
            yield opened
        get_settings.cache_clear()
        configure_tracking()


def _training_set(use_case: UseCase, last: str) -> TrainingSet:
    return make_training_set(use_case, last=last, days=30)


def _runs(training_set: TrainingSet) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(NAME)
    if experiment is None:
        return []
    query = f"tags.`mlforge.training_set_hash` = '{training_set.content_hash}'"
    return list(client.search_runs([experiment.experiment_id], query))


def _versions(run_id: str) -> list[Any]:
    from mlflow import MlflowClient

    return list(MlflowClient().search_model_versions(f"name = '{NAME}' and run_id = '{run_id}'"))


def _assert_whole(use_case: UseCase, training_set: TrainingSet, candidate: Candidate) -> None:
    """One run, one version, no mark, and a model that loads and is the one that was hashed."""
    (run,) = _runs(training_set)
    assert run.info.run_id == candidate.run_id
    assert run.info.status == "FINISHED"
    assert "mlforge.left_behind" not in run.data.tags
    (version,) = _versions(candidate.run_id)
    assert int(version.version) == candidate.model_version
    assert load_model(use_case, candidate.uri).content_hash == candidate.content_hash


def test_mlflow_that_stops_before_a_run_is_logged_leaves_nothing(
    use_case: UseCase, proxy: TrackingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_set, fit = _training_set(use_case, "2013-02-10"), train_module.fit_model

    def fit_and_stop(*given: Any) -> Any:
        fitted = fit(*given)
        proxy.up = False
        return fitted

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "fit_model", fit_and_stop)
        with pytest.raises(ServiceUnavailableError, match="MLflow does not answer"):
            training.train_candidate(use_case, training_set)
    proxy.up = True
    assert _runs(training_set) == []
    _assert_whole(use_case, training_set, training.train_candidate(use_case, training_set))


@pytest.mark.parametrize(("last", "for_good"), [("2013-02-11", True), ("2013-02-12", False)])
def test_mlflow_that_stops_between_model_and_version_registers_it_once(
    use_case: UseCase, proxy: TrackingProxy, last: str, for_good: bool
) -> None:
    training_set = _training_set(use_case, last)

    def refuse(method: str, path: str, body: bytes) -> bytes | None:
        if "model-versions/create" not in path:
            return body
        proxy.up = not for_good
        return None

    proxy.change = refuse
    with pytest.raises(RetryableError, match="the run cannot be logged"):
        training.train_candidate(use_case, training_set)
    proxy.up, proxy.change = True, None
    (left,) = _runs(training_set)
    assert _versions(left.info.run_id) == []
    if for_good:
        # Nobody could say that it had failed.
        assert left.info.status == "RUNNING"
    else:
        assert left.info.status == "FAILED"
        assert "model-versions/create" in left.data.tags["mlforge.left_behind"]
    candidate = training.train_candidate(use_case, training_set)
    _assert_whole(use_case, training_set, candidate)
    (run,) = _runs(training_set)
    assert [output.model_id for output in run.outputs.model_outputs] == [candidate.uri.removeprefix("models:/")]


def test_an_upload_that_is_cut_short_is_never_registered_and_the_retry_repairs_it(
    use_case: UseCase, proxy: TrackingProxy
) -> None:
    from mlflow import MlflowClient

    training_set, cut = _training_set(use_case, "2013-02-13"), []

    def shorten(method: str, path: str, body: bytes) -> bytes:
        if method == "PUT" and path.endswith("model.ubj") and not cut:
            cut.append(path)
            return body[: len(body) // 2]
        return body

    proxy.change = shorten
    with pytest.raises(RetryableError, match="cut short") as failure:
        training.train_candidate(use_case, training_set)
    assert any(each.startswith("model.ubj") for each in failure.value.evidence)
    (left,) = _runs(training_set)
    assert left.info.status == "FAILED"
    assert "cut short" in left.data.tags["mlforge.left_behind"]
    assert _versions(left.info.run_id) == []
    (spoiled,) = [MlflowClient().get_logged_model(output.model_id) for output in left.outputs.model_outputs]
    assert spoiled.status == "FAILED"
    candidate = training.train_candidate(use_case, training_set)
    assert candidate.uri != f"models:/{spoiled.model_id}"
    _assert_whole(use_case, training_set, candidate)


def test_an_upload_with_other_bytes_of_the_same_length_is_found(use_case: UseCase, proxy: TrackingProxy) -> None:
    training_set = _training_set(use_case, "2013-02-14")

    def scramble(method: str, path: str, body: bytes) -> bytes:
        return body[::-1] if method == "PUT" and path.endswith("model.ubj") else body

    proxy.change = scramble
    with pytest.raises(RetryableError, match="cut short") as failure:
        training.train_candidate(use_case, training_set)
    assert failure.value.evidence == ("model.ubj: another hash",)
    (left,) = _runs(training_set)
    assert _versions(left.info.run_id) == []


def test_runs_of_killed_processes_are_marked_and_others_left_alone(use_case: UseCase, proxy: TrackingProxy) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name(NAME)
    experiment = found.experiment_id if found else client.create_experiment(NAME)
    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = {**json.loads(this_process()), "pid": ended.pid}
    long_ago = {**json.loads(this_process()), "since": "2013-01-01T00:00:00+00:00"}
    elsewhere = {**json.loads(this_process()), "host": "another-machine"}
    complete = {f"mlforge.model_{name}": "1" for name in ("uri", "version", "hash")}

    def started(tags: dict[str, str]) -> str:
        return str(client.create_run(experiment, tags=tags).info.run_id)

    killed, whole, stale = (
        started({"mlforge.process": json.dumps(gone)}),
        started({"mlforge.process": json.dumps(gone), **complete}),
        started({"mlforge.process": json.dumps(long_ago)}),
    )
    others = [
        started({"mlforge.process": this_process()}),
        started({"mlforge.process": json.dumps(elsewhere)}),
        started({}),
    ]
    assert mark_abandoned_runs(use_case) == 3
    for run_id in (killed, stale):
        run = client.get_run(run_id)
        assert run.info.status == "FAILED"
        assert "killed" in run.data.tags["mlforge.left_behind"]
    assert client.get_run(whole).info.status == "FINISHED"
    assert "mlforge.left_behind" not in client.get_run(whole).data.tags
    for run_id in others:
        assert client.get_run(run_id).info.status == "RUNNING"
        client.set_terminated(run_id)
    assert mark_abandoned_runs(use_case) == 0
