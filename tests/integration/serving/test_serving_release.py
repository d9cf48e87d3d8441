"""A release's whole way: packaged, verified, rolled out, replaced under load, refused when it is broken."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import psycopg
import pytest
from serving_parts import REQUEST, Caller, add_release, states, write_model

from mlforge.db import connect
from mlforge.db.ledger import live_deployment
from mlforge.errors import ServiceUnavailableError, ServingError
from mlforge.refs import Release
from mlforge.services.programs import program
from mlforge.services.supervision import program_states, start_program, stop_program
from mlforge.serving import (
    demo_key,
    issue_key,
    package_release,
    refresh_gateway,
    restore_deployments,
    revoke_key,
    roll_out_release,
    trace_receipt,
    verify_release,
)
from mlforge.serving import gateway as gateway_room
from mlforge.serving.bento import bento_path
from mlforge.serving.key_ring import key_set, signing_key
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def first(gateway: Settings, use_case: UseCase) -> Release:
    """The first release, live."""
    release = package_release(use_case, add_release(use_case, 1))
    roll_out_release(use_case, verify_release(use_case, release))
    return release


@pytest.fixture(scope="module")
def caller(first: Release) -> Caller:
    """A caller with a valid key."""
    return Caller(demo_key())


def test_an_answer_has_a_receipt_in_the_database(first: Release, caller: Caller) -> None:
    response = caller.predict()
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) == {"probability", "label", "model_version", "release", "receipt_id", "flags"}
    assert answer["release"] == first.release_id
    assert answer["label"] == ("late" if answer["probability"] >= 0.5 else "on_time")
    assert "missing:weather" in answer["flags"]
    traced = trace_receipt(answer["receipt_id"])
    receipt = traced["receipt"]
    assert receipt["score"] == answer["probability"]
    assert receipt["request"]["carrier"] == "UA"
    assert receipt["features"]["sched_hour"] == 20
    assert receipt["moment"] == datetime(2013, 4, 2, 0, 15, tzinfo=UTC)
    assert receipt["key_name"] == "demo"
    assert traced["release"]["release_id"] == first.release_id
    assert traced["training_set"]["uri"].endswith(".parquet")


def test_smoke_requests_leave_no_receipts(first: Release) -> None:
    with connect() as connection:
        query = "SELECT count(*) FROM ledger.predictions WHERE key_name = 'smoke'"
        assert connection.execute(query).fetchone() == (0,)


def test_optional_fields_may_be_absent_and_unseen_categories_are_flagged(caller: Caller) -> None:
    body = {name: value for name, value in REQUEST.items() if name != "tailnum"} | {"carrier": "ZZ"}
    response = caller.predict(body)
    assert response.status_code == 200
    assert "unseen:carrier" in response.json()["flags"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({**REQUEST, "origin": "XXX"}, "origin"),
        ({**REQUEST, "flight": "1545"}, "flight"),
        ({**REQUEST, "flight": 0}, "flight"),
        ({**REQUEST, "carrier": "U\x00"}, "carrier"),
        ({**REQUEST, "dest": "A" * 1000}, "dest"),
        ({**REQUEST, "scheduled_departure": "2013-04-02T00:15:00"}, "scheduled_departure"),
        ({**REQUEST, "scheduled_departure": "9999-12-31T23:59:59Z"}, "scheduled_departure"),
        ({**REQUEST, "colour": "red"}, "colour"),
        ({}, "carrier"),
        ([], "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (json.dumps({**REQUEST, "flight": float("nan")}).encode(), "flight"),
        (b"", "body"),
    ],
)
def test_a_wrong_body_is_400_with_the_field_named(caller: Caller, body: object, named: str) -> None:
    response = caller.predict(body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["field"] == named
    assert error["message"]


def test_without_a_valid_key_401(caller: Caller) -> None:
    keys = {
        "none": "",
        "no token": "nonsense",
        "another signature": caller.key[:-8] + "AAAAAAAA",
        "another payload": _swapped(caller.key, _token(issuer="someone")),
        "expired": _token(expires=-5),
        "another issuer": _token(issuer="someone"),
    }
    answers = {name: caller.predict(key=key) for name, key in keys.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(keys, 401)
    assert {answer.json()["error"]["field"] for answer in answers.values()} == {"x-api-key"}
    assert caller.predict(key=_token()).status_code == 200
    assert caller.get("/flight_delays/info").status_code == 401


def _swapped(token: str, other: str) -> str:
    """Return a token with the payload of another."""
    head, _, signature = token.split(".")
    return f"{head}.{other.split('.')[1]}.{signature}"


def _token(*, expires: float = 600, issuer: str = "mlforge") -> str:
    claims = {
        "iss": issuer,
        "aud": "gateway",
        "sub": "x",
        "jti": "x",
        "scope": ["flight_delays:predict"],
        "exp": datetime.now(UTC) + timedelta(seconds=expires),
    }
    return jwt.encode(claims, signing_key(), algorithm="ES256", headers={"kid": key_set()["keys"][0]["kid"]})


def test_a_key_of_another_use_case_is_403(caller: Caller) -> None:
    response = caller.predict(key=issue_key("stranger", ["household_spend:predict"], 1))
    assert response.status_code == 403
    assert response.json()["error"]["field"] == "x-api-key"


def test_a_revoked_key_is_403_from_then_on(caller: Caller) -> None:
    key = issue_key("leaver", ["flight_delays:predict"], 1)
    assert caller.predict(key=key).status_code == 200
    assert revoke_key("leaver")
    refresh_gateway()
    _eventually(lambda: caller.predict(key=key).status_code == 403)
    assert caller.predict().status_code == 200


def _eventually(condition: object, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition does not come true"
        time.sleep(0.05)


def test_nobody_can_claim_another_name(caller: Caller) -> None:
    answer = caller.predict(**{"x-mlforge-key": "smoke"}).json()
    assert trace_receipt(answer["receipt_id"])["receipt"]["key_name"] == "demo"


def test_a_large_body_is_413(caller: Caller) -> None:
    response = caller.predict(b'{"carrier": "' + b"A" * 2_000_000 + b'"}')
    assert response.status_code == 413
    assert response.json()["error"]["message"]


def test_only_what_is_meant_for_callers_is_routed(caller: Caller) -> None:
    assert caller.get("/healthz").status_code == 200
    assert caller.get("/flight_delays/info", with_key=True).json()["use_case"] == "flight_delays"
    document = caller.get("/flight_delays/docs.json").json()
    assert "/flight_delays/predict" in document["paths"]
    assert document["components"]["schemas"]["PredictRequest"]["properties"]["origin"]["enum"] == ["EWR", "JFK", "LGA"]
    assert "POST /flight_delays/predict" in caller.get("/flight_delays/docs").text
    for path in ("/flight_delays/score", "/flight_delays/metrics", "/predict", "/score", "/", "/flight_delays"):
        assert caller.get(path, with_key=True).status_code == 404
    assert caller.get("/flight_delays/predict", with_key=True).status_code == 405


def test_rolling_out_what_is_live_changes_nothing(first: Release, use_case: UseCase) -> None:
    before = states(first.release_id)
    deployment = roll_out_release(use_case, verify_release(use_case, package_release(use_case, first)))
    assert deployment.release_id == first.release_id
    assert states(first.release_id) == before


def test_503_with_a_reason_while_the_database_is_away(caller: Caller, settings_database: str) -> None:
    try:
        _administrate(settings_database, "ALTER DATABASE mlforge ALLOW_CONNECTIONS false")
        _administrate(
            settings_database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'mlforge'"
        )
        response = caller.predict()
        assert response.status_code == 503, response.text
        assert int(response.headers["retry-after"]) >= 1
        assert "Traceback" not in response.text
        assert "psycopg" not in response.text
        assert response.json()["error"]["message"]
    finally:
        _administrate(settings_database, "ALTER DATABASE mlforge ALLOW_CONNECTIONS true")
    _eventually(lambda: caller.predict().status_code == 200)


@pytest.fixture
def settings_database() -> str:
    """Address of a database beside the project's own."""
    return get_settings().postgres_url("airflow")


def _administrate(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


@dataclass
class Load:
    """Requests without a pause, from several threads, until it is stopped."""

    caller: Caller
    statuses: list[int | str] = field(default_factory=list)
    releases: set[int] = field(default_factory=set)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        url = f"{get_settings().gateway_url}/flight_delays/predict"
        with httpx.Client(headers={"x-api-key": self.caller.key}, timeout=20, trust_env=False) as client:
            while not self.done.is_set():
                try:
                    response = client.post(url, json=REQUEST)
                    self.statuses.append(response.status_code)
                    if response.status_code == 200:
                        self.releases.add(response.json()["release"])
                except httpx.HTTPError as error:
                    self.statuses.append(repr(error))


@pytest.fixture
def load(caller: Caller) -> Iterator[Load]:
    """Load that runs while the test does."""
    running = Load(caller)
    threads = [threading.Thread(target=running.run) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield running
    running.done.set()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def second(first: Release, use_case: UseCase) -> Release:
    """The second release, verified."""
    return verify_release(use_case, package_release(use_case, add_release(use_case, 2)))


def test_a_switch_that_the_gateway_does_not_take_leaves_the_old_release_live(
    first: Release, second: Release, use_case: UseCase, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_room, "WAIT_SECONDS", 1.0)
    stop_program("gateway")
    with pytest.raises(ServiceUnavailableError, match="gateway"):
        roll_out_release(use_case, second)
    assert states(second.release_id)[-1] == "verified"
    assert states(first.release_id)[-1] == "live"
    start_program(program("gateway"))
    _eventually(lambda: _release_that_answers(caller) == first.release_id)


def _release_that_answers(caller: Caller) -> int | None:
    try:
        return int(caller.predict().json()["release"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def test_a_swap_under_load_fails_no_request(first: Release, second: Release, use_case: UseCase, load: Load) -> None:
    roll_out_release(use_case, second)
    _eventually(lambda: second.release_id in load.releases)
    load.done.set()
    assert {status for status in load.statuses if status != 200} == set()
    assert load.releases == {first.release_id, second.release_id}
    assert states(second.release_id) == ["packaged", "starting", "verified", "live"]
    assert states(first.release_id)[-2:] == ["draining", "stopped"]
    assert f"release-{first.release_id}" not in program_states()
    live = live_deployment(use_case.name)
    assert live is not None
    assert live.release_id == second.release_id


def test_an_older_release_is_not_rolled_out_over_a_newer_one(first: Release, use_case: UseCase) -> None:
    with pytest.raises(ServingError, match="newer"):
        roll_out_release(use_case, first)


def test_a_model_that_scores_differently_never_gets_traffic(use_case: UseCase, caller: Caller) -> None:
    before = live_deployment(use_case.name)
    broken = package_release(use_case, add_release(use_case, 3))
    write_model(3, seed=99)  # what was registered is not what the bento holds
    with pytest.raises(ServingError, match="scores differ"):
        verify_release(use_case, broken)
    assert states(broken.release_id)[-1] == "failed"
    assert f"release-{broken.release_id}" not in program_states()
    assert live_deployment(use_case.name) == before
    assert caller.predict().json()["release"] != broken.release_id


def test_a_bento_that_does_not_start_never_gets_traffic(use_case: UseCase, caller: Caller) -> None:
    broken = package_release(use_case, add_release(use_case, 4))
    (bento_path(broken.bento) / "src" / "release.json").write_text("{}")
    with pytest.raises(ServingError, match=r"not get ready|does not start"):
        verify_release(use_case, broken)
    assert states(broken.release_id)[-1] == "failed"
    assert caller.predict().status_code == 200


def test_live_servers_come_back_after_a_restart(use_case: UseCase, caller: Caller) -> None:
    live = live_deployment(use_case.name)
    assert live is not None
    stop_program(f"release-{live.release_id}")
    assert caller.predict().status_code == 503
    assert restore_deployments() == [live.release_id]
    assert caller.predict().status_code == 200


def test_a_server_that_is_killed_is_restarted(use_case: UseCase, caller: Caller) -> None:
    live = live_deployment(use_case.name)
    assert live is not None
    pid = program_states()[f"release-{live.release_id}"].pid
    assert pid is not None
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    _eventually(lambda: caller.predict().status_code == 200, seconds=90)
