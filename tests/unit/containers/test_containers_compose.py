"""docker-compose.yaml, checked without an engine: the specification's schema, and what we promise on top.

`compose-spec.json` is the schema of the Compose Specification (github.com/compose-spec/compose-spec, commit 170098ba,
Apache License 2.0), unchanged.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mlforge.cli.containers import container_app
from mlforge.services import postgres, programs
from mlforge.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("mlforge:")]
MAKE_ENV = (ROOT / "deploy/compose/make_env.sh").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")


def on_every(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    broken = {**COMPOSE, "services": {"x": {"imagee": "y"}}}
    assert not jsonschema.Draft7Validator(schema).is_valid(broken)


def test_each_service_of_one_machine_is_a_container_of_its_own() -> None:
    machine = programs.names(Settings())
    assert set(SERVICES) == {*machine, "init", "serving"}
    for name in set(machine) - {"postgres"}:
        assert SERVICES[name]["command"] == ["service", "exec", name]


def test_every_variable_is_required_and_written_by_the_generator() -> None:
    used = VARIABLE.findall(TEXT)
    assert {name for name, _ in used} == set(re.findall(r"^add (\w+)", MAKE_ENV, re.MULTILINE))
    assert all(rest.startswith(":?") for _, rest in used)
    assert TEXT.count("$") == len(used)


def test_each_secret_is_required_and_goes_in_as_a_file() -> None:
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == {"environment"}
        assert any(secret["environment"] in entry for entry in COMPOSE["x-required"])
    for name, service in SERVICES.items():
        given = json.dumps({**service.get("environment", {}), "command": service["command"]})
        assert not re.search(r"\$\{\w*(PASSWORD|SECRET|KEY)", given), name
        for secret in service.get("secrets", []):
            assert secret["mode"] == 0o400
            assert secret["uid"] == service.get("user", "10001:10001").split(":")[0]


@on_every(list(SERVICES))
def test_a_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"} & set(service)
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    # The image's user is not root; the foreign one is told.
    assert name in OURS or service["user"].split(":")[0] != "0"
    assert not any("docker.sock" in volume for volume in service["volumes"])


@on_every(list(SERVICES))
def test_images_are_pinned_to_a_version(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"


@on_every(list(SERVICES))
def test_ports_are_published_on_the_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")
    assert name in {"mlflow", "airflow-api-server", "gateway"} or "ports" not in SERVICES[name]


@on_every([name for name in SERVICES if name != "init"])
def test_a_service_is_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
    if name in OURS:
        assert service["healthcheck"]["test"] == ["CMD", "mlforge", "container", "check", name]


def test_what_ends_is_not_restarted() -> None:
    assert SERVICES["init"]["restart"] == "no"
    assert "healthcheck" not in SERVICES["init"]


@on_every(OURS)
def test_dependencies_wait_for_what_they_need(name: str) -> None:
    for needed, how in SERVICES[name]["depends_on"].items():
        ends = needed == "init"
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")
    assert {"init", "postgres"} & set(SERVICES[name]["depends_on"])


@on_every(OURS)
def test_settings_are_settings_of_the_library(name: str) -> None:
    fields = {f"MLFORGE_{field}".upper() for field in Settings.model_fields}
    environment = SERVICES[name]["environment"]
    assert set(environment) <= fields
    hosts = {value for key, value in environment.items() if key.endswith("_HOST") and key != "MLFORGE_HOST"}
    assert hosts <= set(SERVICES)


def test_commands_are_commands_of_ours() -> None:
    own = {
        command.name or command.callback.__name__ for command in container_app.registered_commands if command.callback
    }
    for name in OURS:
        first, second, *_ = SERVICES[name]["command"]
        assert (first, second) == ("service", "exec") or (first == "container" and second in own)


def test_the_database_is_set_up_as_on_one_machine() -> None:
    given = dict(pair.split("=", 1) for pair in SERVICES["postgres"]["command"] if "=" in pair)
    elsewhere = {"unix_socket_directories"}
    assert given == {name: value for name, value in postgres._PARAMETERS.items() if name not in elsewhere}
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == postgres.SUPERUSER


def test_every_mounted_directory_is_made_in_the_image_for_its_user() -> None:
    made = set(re.findall(r"(/var/lib/mlforge/\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    for name in OURS:
        for volume in SERVICES[name]["volumes"]:
            source, target, *_ = volume.split(":")
            assert source in COMPOSE["volumes"]
            assert target in made


def test_the_gateway_reaches_neither_database_nor_secrets() -> None:
    assert SERVICES["gateway"]["networks"] == ["serving"]
    assert "serving" not in SERVICES["postgres"]["networks"]
    assert not any("secrets" in volume for volume in SERVICES["gateway"]["volumes"])
