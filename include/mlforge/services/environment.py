"""The environment of each service: settings, secrets, and what keeps libraries quiet and frugal."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from mlforge.credentials import write_secret
from mlforge.services.layout import run_directory, write_private
from mlforge.services.supervisord import MARKER
from mlforge.settings import Settings

AIRFLOW_USER = "admin"
MLFLOW_USER = "mlforge"

_QUIET_AND_FRUGAL = {
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "FEAST_USAGE": "False",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "PASSIVE",  # two spinning threads made XGBoost ten times slower
    "MALLOC_ARENA_MAX": "2",
    "PYTHONUNBUFFERED": "1",
    "SPT_NOENV": "1",  # setproctitle would overwrite the marker that `down` finds processes by
}
_SECRETS = (
    "postgres_password",
    "airflow_admin_password",
    "airflow_fernet_key",
    "airflow_secret_key",
    "mlflow_password",
    "mlflow_secret_key",
)


def create_secrets(settings: Settings) -> None:
    """Generate the secrets that are missing.

    Raises:
        SettingsError: Their directory cannot be used.
    """
    for name in _SECRETS:
        settings.secret(name)
    if not (settings.secrets_dir / "airflow_jwt_secret").exists():  # HS512 wants 64 bytes
        write_secret(settings.secrets_dir, "airflow_jwt_secret", secrets.token_urlsafe(64), replace=False)
    password = json.dumps({AIRFLOW_USER: settings.secret("airflow_admin_password")})
    write_secret(settings.secrets_dir, "airflow_passwords.json", password)


def public_environment(settings: Settings, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what every process of this installation gets, over the given environment; no secret in it.

    `MLFORGE_…` variables come along, so that a task sees the same settings as the command that started the services.
    """
    base = dict(os.environ if environment is None else environment)
    base.pop("PYTHONDONTWRITEBYTECODE", None)  # an import without byte code takes twice as long
    programs = str(Path(sys.executable).parent)
    if base.get("PATH", "").split(os.pathsep)[0] != programs:
        base["PATH"] = os.pathsep.join(part for part in (programs, base.get("PATH", "/usr/bin:/bin")) if part)
    for name in ("NO_PROXY", "no_proxy"):
        base[name] = ",".join(dict.fromkeys([*filter(None, base.get(name, "").split(",")), "127.0.0.1", "localhost"]))
    return {
        **base,
        **_QUIET_AND_FRUGAL,
        "MLFORGE_ROOT": str(settings.root),
        "MLFORGE_HOME": str(settings.home),
        MARKER: str(settings.home),
    }


def airflow_secret(settings: Settings, name: str) -> str:
    """Return a value that airflow.cfg asks for by a `_cmd` key: what the secret holds, in the form Airflow wants."""
    if name == "airflow_database_url":
        return settings.postgres_url("airflow", driver="psycopg2")
    if name == "airflow_fernet_key":
        return settings.secret(name) + "="  # 32 bytes in URL-safe base64, with the padding that Fernet insists on
    return settings.secret(name)


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return what Airflow's components get: paths and ports of this installation, and the secrets.

    airflow.cfg can fetch the secrets itself; with them in the environment no process spends time on that.
    """
    url = settings.airflow_url
    return {
        **tracking_environment(settings),
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "AIRFLOW_CONFIG": str(settings.root / "airflow.cfg"),
        "AIRFLOW__API__HOST": settings.host,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": settings.log_level.upper(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_secret(settings, "airflow_database_url"),
        "AIRFLOW__CORE__FERNET_KEY": airflow_secret(settings, "airflow_fernet_key"),
        "AIRFLOW__API__SECRET_KEY": airflow_secret(settings, "airflow_secret_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": airflow_secret(settings, "airflow_jwt_secret"),
        **lineage_environment(settings),
    }


def lineage_environment(settings: Settings) -> dict[str, str]:
    """Return what sends lineage to a backend; nothing where airflow.cfg's file is to be written."""
    if not settings.lineage_url:
        return {}
    transport = {"type": "http", "url": settings.lineage_url, "timeout": 2, "retry": {"total": 1}}
    return {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)}


def tracking_environment(settings: Settings) -> dict[str, str]:
    """Return what a client of MLflow gets, without its password: `mlforge.tracking` reads that where it is needed."""
    return {"MLFLOW_TRACKING_URI": settings.tracking_url}


def mlflow_environment(settings: Settings) -> dict[str, str]:
    """Return what the MLflow server gets; its password store is the same database as its runs."""
    database = settings.postgres_url("mlflow", driver="psycopg2")
    escaped = database.replace("%", "%%")  # configparser reads `%` as interpolation
    configuration = (
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = {escaped}\n"
        f"admin_username = {MLFLOW_USER}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 300\n"
    )
    path = write_private(run_directory(settings) / "mlflow_auth.ini", configuration)
    return {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_AUTH_CONFIG_PATH": str(path),
        "MLFLOW_AUTH_ADMIN_USERNAME": MLFLOW_USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.secret("mlflow_password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.secret("mlflow_secret_key"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
