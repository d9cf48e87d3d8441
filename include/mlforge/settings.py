"""Settings of this installation, read from the environment (`MLFORGE_…`); every one has a working default."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlforge.credentials import read_secret
from mlforge.errors import SettingsError

Database = Literal["airflow", "mlflow", "mlforge"]


def _project_root() -> Path:
    return Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """What this installation uses and where. Secrets are not settings: they lie in files below `home`."""

    model_config = SettingsConfigDict(env_prefix="MLFORGE_", extra="ignore", frozen=True)

    root: Path = Field(default_factory=_project_root, description="the checkout: dags, use cases, feature repo")
    home: Path = Field(default=Path(".mlforge"), description="data, logs, secrets and sockets of the services")

    database_url: str | None = Field(
        default=None, description="postgresql://user@host:port of a server that you run; else one is started here"
    )
    mlflow_url: str | None = Field(default=None, description="an MLflow server that you run")
    storage_url: str | None = Field(default=None, description="fsspec URL for files; else below home")
    lineage_url: str | None = Field(
        default=None, description="an OpenLineage backend such as Marquez; else a file below home"
    )
    online_store_url: str | None = Field(
        default=None, description="redis://host:port/0 of a Redis that keeps online features; else PostgreSQL does"
    )
    data_repository: Path | None = Field(default=None, description="a git clone for dataset versions; else below home")

    host: str = Field(default="127.0.0.1", description="address that the services listen on")
    postgres_host: str = "127.0.0.1"
    postgres_port: int = Field(default=5434, ge=1, le=65535)
    airflow_host: str = "127.0.0.1"
    airflow_port: int = Field(default=8080, ge=1, le=65535)
    mlflow_host: str = "127.0.0.1"
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8000, ge=1, le=65535)
    gateway_admin_port: int = Field(default=9901, ge=1, le=65535)
    serving_host: str = Field(default="127.0.0.1", description="where the gateway reaches the release servers")
    serving_ports: str = Field(default="3100-3199", pattern=r"^\d+-\d+$", description="ports for release servers")
    replay: bool = Field(default=False, description="play histories that declare `replay` again, night after night")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        object.__setattr__(self, "root", self.root.resolve())
        home = self.home if self.home.is_absolute() else self.root / self.home
        object.__setattr__(self, "home", home)
        return self

    @property
    def secrets_dir(self) -> Path:
        """Directory of the secret files."""
        return self.home / "secrets"

    @property
    def use_cases_dir(self) -> Path:
        """Directory that holds one folder per use case."""
        return self.root / "include" / "use_cases"

    @property
    def storage(self) -> str:
        """URL below which files are kept, without a slash at its end."""
        return (self.storage_url or f"file://{self.home / 'storage'}").rstrip("/")

    @property
    def tracking_url(self) -> str:
        """Address of MLflow, without credentials."""
        return self.mlflow_url or f"http://{self.mlflow_host}:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's API server."""
        return f"http://{self.airflow_host}:{self.airflow_port}"

    @property
    def gateway_url(self) -> str:
        """Address that callers send predictions to."""
        return f"http://{self.gateway_host}:{self.gateway_port}"

    def secret(self, name: str) -> str:
        """Return a secret, generated at its first use."""
        return read_secret(self.secrets_dir, name)

    def postgres_url(self, database: Database = "mlforge", *, driver: str = "") -> str:
        """Return the URL of one of the three databases, with its password; never log it.

        Args:
            database: Which one.
            driver: SQLAlchemy's driver name such as `psycopg`; empty for a libpq URL.
        """
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        if self.database_url:
            base = self.database_url.split("://", 1)[1].rstrip("/")
            return f"{scheme}://{base}/{database}"
        password = quote(self.secret("postgres_password"), safe="")
        return f"{scheme}://mlforge:{password}@{self.postgres_host}:{self.postgres_port}/{database}"


@functools.cache
def get_settings() -> Settings:
    """Return the settings of this process.

    Raises:
        SettingsError: A variable has a value that cannot be used; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "MLFORGE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            f"{name}={os.environ.get(name, '')!r} cannot be used: {first['msg']}", hint="correct the variable"
        ) from error
