from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest
import yaml

from mlforge.errors import SettingsError
from mlforge.services.environment import airflow_environment, airflow_secret, create_secrets, public_environment
from mlforge.services.gateway import gateway_directory, write_gateway
from mlforge.services.layout import run_directory, socket_path, write_private
from mlforge.services.program import Program, render_program
from mlforge.services.supervisord import MARKER, render_supervisord
from mlforge.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def _parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    return parser


def test_a_program_is_rendered_with_its_percent_signs_and_spaces_escaped(settings: Settings) -> None:
    program = Program("one", ["run", "50% of it", "plain"], {"A": "x,y", "B": 'say "hi" twice'}, directory=Path("/a b"))
    section = _parsed(render_program(settings, program))["program:one"]
    assert section["command"] == "run '50%% of it' plain"
    assert section["environment"] == 'A="x,y",B=\'say "hi" twice\''
    assert section["directory"] == "/a b"
    assert section["stdout_logfile"] == str(settings.home / "logs" / "one.log")
    assert section["killasgroup"] == "true"


@pytest.mark.parametrize("value", ["two\nlines", "a ;comment", "both ' and \"", "'quoted'"])
def test_a_value_that_supervisord_would_misread_is_refused(settings: Settings, value: str) -> None:
    with pytest.raises(SettingsError, match="supervisord cannot take"):
        render_program(settings, Program("one", ["run"], {"A": value}))


def test_supervisord_is_reached_by_a_private_socket_only(settings: Settings) -> None:
    parsed = _parsed(render_supervisord(settings))
    assert parsed["unix_http_server"]["chmod"] == "0600"
    assert not parsed.has_section("inet_http_server")


def test_a_home_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    short = Settings(home=Path("/srv/m"))
    assert socket_path(short) == run_directory(short) / "supervisor.sock"
    long = Settings(home=Path("/srv") / ("long" * 40))
    assert len(str(socket_path(long))) < 92
    assert socket_path(long) != socket_path(Settings(home=Path("/srv") / ("more" * 40)))


def test_a_private_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = write_private(tmp_path / "file", "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_every_process_gets_holds_no_secret(settings: Settings) -> None:
    create_secrets(settings)
    environment = public_environment(settings, {"PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "intern"})
    assert environment[MARKER] == str(settings.home)
    assert environment["MLFORGE_HOME"] == str(settings.home)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["NO_PROXY"] == "intern,127.0.0.1,localhost"
    values = {path.read_text() for path in settings.secrets_dir.iterdir()}
    assert not any(secret in value for secret in values for value in environment.values())


def test_secrets_are_private_and_as_airflow_wants_them(settings: Settings) -> None:
    create_secrets(settings)
    before = {path.name: path.read_text() for path in settings.secrets_dir.iterdir()}
    create_secrets(settings)
    assert {path.name: path.read_text() for path in settings.secrets_dir.iterdir()} == before
    assert {path.stat().st_mode & 0o777 for path in settings.secrets_dir.iterdir()} == {0o600}
    assert len(airflow_secret(settings, "airflow_fernet_key")) == 44
    assert len(airflow_secret(settings, "airflow_jwt_secret")) >= 64
    assert airflow_environment(settings)["AIRFLOW__API__PORT"] == str(settings.airflow_port)


def test_the_gateways_bootstrap_watches_files_and_leaves_those_that_exist(settings: Settings) -> None:
    settings.home.mkdir()
    path = write_gateway(settings)
    bootstrap = yaml.safe_load(path.read_text())
    assert bootstrap["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    for kind in ("lds", "cds"):
        source = bootstrap["dynamic_resources"][f"{kind}_config"]["path_config_source"]
        assert source["path"] == str(gateway_directory(settings) / f"{kind}.yaml")
        assert Path(source["path"]).exists()
    routes = gateway_directory(settings) / "rds.yaml"
    assert "no release yet" in routes.read_text()
    routes.write_text("ours")
    write_gateway(settings)
    assert routes.read_text() == "ours"


def test_airflow_cfg_names_no_path_of_a_machine() -> None:
    text = (Settings().root / "airflow.cfg").read_text()
    assert str(Settings().root) not in text
    assert "sql_alchemy_conn_cmd = mlforge service secret airflow_database_url" in text


def test_lineage_goes_to_a_file_of_the_installation_unless_a_backend_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    create_secrets(settings)
    assert "AIRFLOW__OPENLINEAGE__TRANSPORT" not in airflow_environment(settings)
    parsed = configparser.RawConfigParser()
    parsed.read(settings.root / "airflow.cfg")
    written = json.loads(parsed["openlineage"]["transport"])
    assert written == {"type": "file", "log_file_path": "${MLFORGE_HOME}/lineage/events.jsonl", "append": True}
    policy = json.loads(parsed["openlineage"]["emission_policy"])
    assert [rule["controls"] for rule in policy] == [{"emit": False}, {"emit": True}]
    told = airflow_environment(settings.model_copy(update={"lineage_url": "http://127.0.0.1:5002"}))
    assert json.loads(told["AIRFLOW__OPENLINEAGE__TRANSPORT"])["url"] == "http://127.0.0.1:5002"
