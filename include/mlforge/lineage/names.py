"""Names of datasets, by the OpenLineage naming specification, so that what other tools tell of the same thing joins.

| dataset | namespace | name |
|---|---|---|
| table | `postgres://host:port` | `mlforge.<schema>.<table>` |
| file on a disk | `file` | path |
| object | `s3://bucket` | key |
| model | `mlflow://host:port` | registered model |
| feature view as Feast names it | `mlforge` | view |
| asset of Airflow | `mlforge://<use case>` | noun |

A partition is no dataset of its own: its file is a version of the folder that all partitions lie in.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from mlforge.settings import get_settings

if TYPE_CHECKING:
    from mlforge.spec import UseCase

DATABASE = "mlforge"
FEAST_PROJECT = "mlforge"
_POSTGRES_PORT = 5432


class DatasetName(NamedTuple):
    """What identifies a dataset everywhere."""

    namespace: str
    name: str


def table_name(schema: str, table: str) -> DatasetName:
    """Return the name of a table of this installation; no user and no password are in it."""
    settings = get_settings()
    host, port = settings.postgres_host, settings.postgres_port
    if settings.database_url:
        parts = urlsplit(settings.database_url)
        host, port = parts.hostname or host, parts.port or _POSTGRES_PORT
    return DatasetName(f"postgres://{host}:{port}", f"{DATABASE}.{schema}.{table}")


def warehouse_name(use_case: UseCase, dataset: str) -> DatasetName:
    """Return the name of a dataset's table in the warehouse."""
    return table_name("warehouse", use_case.table(dataset))


def feature_table_name(use_case: UseCase, view: str) -> DatasetName:
    """Return the name of a feature view's offline table."""
    return table_name("features", use_case.view_table(view))


def feast_source_name(use_case: UseCase, view: str) -> DatasetName:
    """Return the name under which Feast's own events know the offline table of a view.

    Source: feast.openlineage.identity.resolve_namespace; the data source's name by our convention.
    """
    return DatasetName(FEAST_PROJECT, use_case.view_table(view))


def feature_view_name(view: str) -> DatasetName:
    """Return the name of a feature view, online, as Feast's own events have it."""
    return DatasetName(FEAST_PROJECT, view)


def model_name(name: str) -> DatasetName:
    """Return the name of a registered model; its versions are versions of that dataset."""
    return DatasetName(f"mlflow://{urlsplit(get_settings().tracking_url).netloc.rpartition('@')[2]}", name)


def bento_name(tag: str) -> DatasetName:
    """Return the name of a bento, without its version."""
    return DatasetName("bentoml", tag.partition(":")[0])


def training_sets_name(use_case: UseCase) -> DatasetName:
    """Return the name of the folder of a use case's training sets."""
    return uri_name(f"{get_settings().storage}/training_sets/{use_case.name}")


def version_name(series: str) -> DatasetName:
    """Return the name of a series of dataset versions, `use_case/dataset`."""
    return DatasetName("dataset-version", series)


def asset_name(use_case: str, noun: str) -> DatasetName:
    """Return the name of an asset of Airflow, `mlforge://use_case/noun`."""
    return DatasetName(f"mlforge://{use_case}", noun)


def uri_name(uri: str, *, up: int = 0) -> DatasetName:
    """Return the name of a file, an object or an address; credentials and queries are left out.

    Args:
        uri: A path or a URI.
        up: How many steps above it the dataset lies whose version it is.
    """
    if "://" not in uri:
        return DatasetName("file", _above(uri, up))
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    scheme = {"gcs": "gs", "s3a": "s3", "postgresql": "postgres"}.get(parts.scheme, parts.scheme)
    if scheme == "file":
        return DatasetName("file" if not host else f"file://{host}", _above(parts.path, up))
    return DatasetName(f"{scheme}://{host}", _above(parts.path.lstrip("/"), up) or "/")


def _above(path: str, up: int) -> str:
    place = PurePosixPath(path)
    for _ in range(up):
        place = place.parent
    return str(place)
