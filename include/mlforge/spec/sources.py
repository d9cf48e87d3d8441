"""`datasets.<name>.source`: where rows come from: files, a database, or an HTTP service."""

from __future__ import annotations

import datetime as dt
import string
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from mlforge.spec.base import SpecModel

PARTITION_KEY = "partition_key"
CYCLE_DAYS = 364  # whole weeks: the weekday is kept


class Wait(SpecModel):
    """How long a partition that is late is waited for.

    Attributes:
        deadline_hours: Hours after the partition's end, or after the start of the run when that is later.
        poke_seconds: Seconds between two looks.
    """

    deadline_hours: float = Field(gt=0, le=24 * 14)
    poke_seconds: float = Field(default=60.0, gt=0, le=3600)


class Replay(SpecModel):
    """How a history of 364 days is played again and again, each row on the same weekday and at the same local hour.

    Attributes:
        first: First local day of the 364.
        timezone: Zone of the clock on whose wall rows move.
        move: Columns with instants that move; the partition column does in any case.
        parts: Columns with a part of the local date of the partition column, computed anew.
    """

    first: dt.date
    timezone: str = "UTC"
    move: list[str] = Field(default_factory=list)
    parts: dict[Literal["year", "month", "day"], str] = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        return require_zone(value)


class SourceModel(SpecModel):
    """What all sources have.

    Attributes:
        partition_column: Time whose UTC day is the row's partition; absent for a static dataset.
        timezone: Zone of times that say none.
        wait: A partition may be late, and is waited for; absent when it is there or is an error.
        replay: What follows after `schedule.end` when this installation has MLFORGE_REPLAY=true.
    """

    partition_column: str | None = None
    timezone: str = "UTC"
    wait: Wait | None = None
    replay: Replay | None = None

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        return require_zone(value)

    @property
    def files(self) -> list[str]:
        """Files of the use case's folder that it needs."""
        return []

    @property
    def named_columns(self) -> dict[str, str]:
        """Key to the column that it names."""
        named = {} if self.partition_column is None else {"partition_column": self.partition_column}
        if self.replay is not None:
            named |= {f"replay.move.{place}": column for place, column in enumerate(self.replay.move)}
            named |= {f"replay.parts.{part}": column for part, column in self.replay.parts.items()}
        return named

    @model_validator(mode="after")
    def _partitioned_as_declared(self) -> Self:
        if self.partition_column is None:
            for name in ("wait", "replay"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} needs a partition_column: a static dataset comes whole")
        return self


class FileSource(SourceModel):
    """Files: one that holds every partition, or one per partition.

    Attributes:
        path: Local path, fsspec URL such as `s3://bucket/key`, or `package:NAME/path` for a file inside an installed
            package. With `{partition_key}` in it, there is one file per partition.
        format: `csv` and `jsonl` may be in a zip archive of one file.
        encoding: Of csv and jsonl.
        connection: Airflow connection with the credentials of S3.
    """

    kind: Literal["file"]
    path: str
    format: Literal["csv", "parquet", "jsonl"] = "csv"
    encoding: str = "utf-8"
    connection: str | None = None

    @property
    def one_per_partition(self) -> bool:
        """Whether each partition has a file of its own."""
        return PARTITION_KEY in placeholders(self.path)

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"there is no encoding {value!r}") from None
        return value

    @model_validator(mode="after")
    def _path_is_complete(self) -> Self:
        require_placeholders(self.path, {PARTITION_KEY}, "path")
        if self.one_per_partition and self.partition_column is None:
            raise ValueError("path holds {partition_key}, so the source needs a partition_column")
        if self.connection is not None and not self.path.startswith(("s3://", "s3a://")):
            raise ValueError("connection is for s3:// paths only")
        return self


class SqlSource(SourceModel):
    """Rows that a query gives.

    Attributes:
        connection: Airflow connection of a database.
        query: An .sql file of the use case's folder. `%(start)s` and `%(end)s` are bound to the first instant of the
            partition and the first one after it, `%(partition_key)s` to its key; a per cent sign is written twice.
        table: `schema.table`, instead of a query: its rows with the partition column within the partition.
    """

    kind: Literal["sql"]
    connection: str
    query: str | None = None
    table: str | None = Field(default=None, pattern=r"^[^.\s]+(\.[^.\s]+){0,1}$")

    @property
    def files(self) -> list[str]:
        """The query."""
        return [] if self.query is None else [self.query]

    @model_validator(mode="after")
    def _query_or_table(self) -> Self:
        if (self.query is None) == (self.table is None):
            raise ValueError("give either query or table")
        return self


class NextPage(SpecModel):
    """Each page names the next one: `next` is the dotted path to the link; no link ends it."""

    kind: Literal["next"]
    next: str = "next"


class PageNumbers(SpecModel):
    """Pages are numbered; a page without records ends it.

    Attributes:
        parameter: Query parameter with the number.
        first: Number of the first page.
    """

    kind: Literal["page"]
    parameter: str = "page"
    first: int = 1


class Offsets(SpecModel):
    """Pages begin at an offset; a page without records ends it.

    Attributes:
        parameter: Query parameter with the offset.
        limit_parameter: Query parameter with the number of records of a page.
        limit: That number.
    """

    kind: Literal["offset"]
    parameter: str = "offset"
    limit_parameter: str = "limit"
    limit: int = Field(default=1000, ge=1)


Paging = Annotated[NextPage | PageNumbers | Offsets, Field(discriminator="kind")]
_HTTP_FIELDS = {PARTITION_KEY, "start", "end"}


class HttpSource(SourceModel):
    """JSON over HTTP.

    Attributes:
        connection: Airflow connection with the address and the credentials; instead of `url`.
        url: Address without credentials.
        path: Behind the address. It and `params` may hold {partition_key}, {start} and {end} (ISO 8601, UTC).
        params: Query parameters.
        records: Dotted path to the list of records; absent when the answer is the list.
        paging: How there is more than one page; absent when there is one.
        max_pages: More pages than these are an error.
        timeout_seconds: For one answer.
    """

    kind: Literal["http"]
    connection: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^@\s]+$")
    path: str = ""
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    records: str | None = None
    paging: Paging | None = None
    max_pages: int = Field(default=1000, ge=1)
    timeout_seconds: float = Field(default=30.0, gt=0)

    @property
    def one_per_partition(self) -> bool:
        """Whether each partition is a request of its own."""
        return any(PARTITION_KEY in placeholders(text) for text in self._texts)

    @property
    def _texts(self) -> list[str]:
        return [self.path, *(value for value in self.params.values() if isinstance(value, str))]

    @model_validator(mode="after")
    def _address_is_complete(self) -> Self:
        if (self.connection is None) == (self.url is None):
            raise ValueError("give either connection or url")
        for text in self._texts:
            require_placeholders(text, _HTTP_FIELDS, "path or params")
        return self


Source = Annotated[FileSource | SqlSource | HttpSource, Field(discriminator="kind")]


def require_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {name!r}") from None
    return name


def placeholders(text: str) -> set[str]:
    """Return the names that stand in braces in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def require_placeholders(text: str, allowed: set[str], where: str) -> None:
    """Check that a text has no other names in braces than those.

    Raises:
        ValueError: It has.
    """
    unknown = sorted(placeholders(text) - allowed)
    if unknown:
        raise ValueError(f"{where} holds {{{unknown[0]}}}; there is {', '.join(f'{{{name}}}' for name in allowed)}")
