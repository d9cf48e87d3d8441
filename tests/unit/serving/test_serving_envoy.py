"""What Envoy is told; Envoy itself says whether it understands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlforge.services.gateway import bootstrap, gateway_command
from mlforge.serving.envoy import Backend, cluster, listener, routes
from mlforge.settings import Settings

KEYS = json.dumps(
    {
        "keys": [
            {
                "kty": "EC",
                "crv": "P-256",
                "alg": "ES256",
                "kid": "k",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }
        ]
    }
)
BLUE = Backend("flight_delays", 1, "127.0.0.1", 3101)
GREEN = Backend("flight_delays", 2, "127.0.0.1", 3102)


def _by_path(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for route in table["virtual_hosts"][0]["routes"]:
        found.setdefault(route["match"].get("path", "rest"), route)
    return found


def test_one_release_takes_all_requests_under_the_name_of_its_use_case() -> None:
    table = _by_path(routes([BLUE], []))
    assert set(table) == {
        "/healthz",
        "/flight_delays/predict",
        "/flight_delays/info",
        "/flight_delays/docs.json",
        "/flight_delays/docs",
        "rest",
    }
    predict = table["/flight_delays/predict"]
    assert predict["route"]["cluster"] == "release_1"
    assert predict["route"]["regex_rewrite"]["substitution"] == "/predict"
    assert "rbac" in json.dumps(predict["typed_per_filter_config"])


def test_weights_split_and_zero_gets_nothing() -> None:
    split = [Backend("u", 1, "127.0.0.1", 1, weight=90), Backend("u", 2, "127.0.0.1", 2, weight=10)]
    action = _by_path(routes(split, []))["/u/predict"]["route"]
    assert action["weighted_clusters"]["clusters"] == [
        {"name": "release_1", "weight": 90},
        {"name": "release_2", "weight": 10},
    ]
    drained = [Backend("u", 1, "127.0.0.1", 1, weight=0), Backend("u", 2, "127.0.0.1", 2)]
    assert _by_path(routes(drained, []))["/u/predict"]["route"]["cluster"] == "release_2"
    assert "/u/predict" not in _by_path(routes([Backend("u", 1, "127.0.0.1", 1, weight=0)], []))


def test_a_key_opens_its_own_use_case_unless_it_was_revoked() -> None:
    guard = json.dumps(_by_path(routes([BLUE], ["gone"]))["/flight_delays/predict"]["typed_per_filter_config"])
    assert '"flight_delays:predict"' in guard
    assert '"gone"' in guard
    assert "not_id" in guard


@pytest.mark.parametrize("revoked", [[], ["6a8d", "7b1c"]])
@pytest.mark.parametrize(
    "backends",
    [
        [],
        [BLUE],
        [BLUE, GREEN, Backend("other", 3, "release-3.serving", 3103, weight=0), Backend("third", 4, "::1", 3104)],
    ],
)
def test_envoy_understands_it(tmp_path: Path, backends: list[Backend], revoked: list[str]) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "gateway").mkdir()
    document = bootstrap(settings)
    del document["dynamic_resources"]
    front = listener("127.0.0.1", 8000, tmp_path, KEYS)
    manager = front["filter_chains"][0]["filters"][0]["typed_config"]
    # A static check reads no watched files: the routes stand in the listener itself.
    del manager["rds"]
    manager["route_config"] = {key: value for key, value in routes(backends, revoked).items() if key != "@type"}
    front.pop("@type")
    clusters = [{key: value for key, value in cluster(item).items() if key != "@type"} for item in backends]
    document["static_resources"] = {"listeners": [front], "clusters": clusters}
    path = tmp_path / "static.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    envoy = gateway_command(settings)[0]
    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", str(path), "--log-level", "error"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
