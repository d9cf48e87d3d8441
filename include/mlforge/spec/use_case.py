"""The model of `use_case.yaml`."""

from __future__ import annotations

import datetime as dt
import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from mlforge.errors import PartitionKeyError, SpecError
from mlforge.refs import STATIC_KEY, PartitionRange
from mlforge.spec.contract import Contract

# Two of them and a number make the name of a table, for which PostgreSQL has 63 characters.
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,23}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class SpecModel(BaseModel):
    """Strict: an unknown key, a wrong type, NaN and infinity are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True, protected_namespaces=())


class Schedule(SpecModel):
    """When daily partitions are due, and which days exist."""

    cron: str = "0 0 * * *"
    start: dt.date
    end: dt.date | None = None


class FileSource(SpecModel):
    """A file that holds every partition.

    Attributes:
        path: Local path, fsspec URL, or `package:NAME/path` for a file inside an installed package.
        partition_column: UTC time whose day is the row's partition; absent for a static dataset.
    """

    kind: Literal["file"]
    path: str
    format: Literal["csv", "parquet"] = "csv"
    partition_column: str | None = None


class Dataset(SpecModel):
    """One source with its contract.

    Attributes:
        event_timestamp: SQL over the contract's columns: when the row's event happened.
        known_at: SQL over the contract's columns: from when on the whole row may be used.
        quarantine_up_to: Share of rows that may break a rule and be set aside; more fails the partition.
    """

    contract: str
    source: FileSource
    event_timestamp: str
    known_at: str
    quarantine_up_to: Fraction = 0.0

    @property
    def partitioned(self) -> bool:
        """Whether it comes in daily partitions; a static dataset comes whole."""
        return self.source.partition_column is not None


class RequestField(SpecModel):
    """A field that a caller sends.

    Attributes:
        categorical: Whether the model takes it as a category; a text field that is not is only a key.
        feature: Whether the model sees it.
    """

    type: Literal["string", "integer", "number", "boolean", "timestamp"]
    description: str = ""
    example: str | int | float | bool
    allowed: list[str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = 64
    required: bool = True
    feature: bool = True


class Prediction(SpecModel):
    """What a prediction takes and says.

    Attributes:
        moment: Request field with the instant that the prediction is for; only earlier knowledge is used.
        request: Fields that a caller sends.
        derived: Fields that `model.derive` computes from the request, numeric features unless `feature: false`.
        key: Request fields that name the predicted thing, to join its outcome.
        labels: Name of the negative and of the positive class.
    """

    moment: Identifier
    request: dict[Identifier, RequestField]
    derived: dict[Identifier, Literal["integer", "number", "string"]] = Field(default_factory=dict)
    key: list[Identifier]
    labels: list[str] = Field(default=["no", "yes"], min_length=2, max_length=2)


class FeatureView(SpecModel):
    """A feature view: `features/<name>.sql` computes it, `feature_repo/<use_case>.py` declares it to Feast.

    Attributes:
        static: Computed from static datasets only, once for all partitions.
    """

    static: bool = False


class Training(SpecModel):
    """How a candidate is trained.

    Attributes:
        spine: SQL file that gives the examples: keys, request fields, moment, `known_at`, and the outcome.
        outcome: Columns of the spine that are known afterwards only; `model.label` reads them.
        window_days: How many days before the as-of instant are used.
        validation_days: Days before the test days, for early stopping and calibration.
        test_days: Newest days, for the scores.
        minimum_rows: Fewer labelled rows are an error.
        parameters: What `model.build_model` is given.
        drop_features: Feature columns that the model does not take.
        absent_views: View → share of the training rows that lose its values, because serving may lack them too: an
            online value older than the view's time to live counts as missing.
    """

    spine: str = "spine.sql"
    outcome: list[str]
    window_days: int = Field(default=90, ge=3)
    validation_days: int = Field(default=10, ge=1)
    test_days: int = Field(default=7, ge=1)
    minimum_rows: int = Field(default=1000, ge=10)
    parameters: dict[str, Any] = Field(default_factory=dict)
    early_stopping_rounds: int = Field(default=30, ge=1)
    drop_features: list[str] = Field(default_factory=list)
    absent_views: dict[Identifier, Fraction] = Field(default_factory=dict)


class Gates(SpecModel):
    """What a candidate must show.

    Attributes:
        metric: Score that is compared; smaller is better.
        non_inferiority_margin: How much worse than the champion the interval's upper end may be.
        alpha: The paired bootstrap interval covers 1 - 2 * alpha.
        bootstrap_samples: Resamples of the test rows.
        beat_baselines: Baselines whose metric the candidate must beat.
        maximum_calibration_error: Largest expected calibration error.
    """

    metric: Literal["log_loss", "brier"] = "log_loss"
    non_inferiority_margin: float = Field(default=0.002, ge=0)
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    bootstrap_samples: int = Field(default=1000, ge=100)
    beat_baselines: list[Literal["base_rate", "logistic_regression"]] = Field(default=["base_rate"])
    maximum_calibration_error: float = Field(default=0.05, gt=0)
    approval: bool = False


class Rollout(SpecModel):
    """How traffic moves to a new release.

    Attributes:
        smoke_requests: Real rows whose answers must agree with offline scores before any traffic.
        score_tolerance: Largest difference between an answer and the offline score.
        drain_seconds: How long the old server finishes what it has begun.
    """

    smoke_requests: int = Field(default=20, ge=1)
    score_tolerance: float = Field(default=1e-6, ge=0)
    drain_seconds: float = Field(default=2.0, ge=0)


class Monitors(SpecModel):
    """What is watched.

    Attributes:
        drift_columns: Feature columns that are compared with the training set; empty means all numeric ones.
        psi_threshold: Population stability index from which on a column has drifted.
        window_days: Days up to the partition that are compared together.
        alert_share: Share of drifted columns from which on an alert is raised.
    """

    drift_columns: list[str] = Field(default_factory=list)
    psi_threshold: float = Field(default=0.25, gt=0)
    window_days: int = Field(default=7, ge=1)
    alert_share: Fraction = 0.5


class UseCase(SpecModel):
    """A use case, as its folder describes it."""

    name: Identifier
    title: str
    description: str = ""
    owner: str
    tags: list[str] = Field(default_factory=list)
    task: Literal["classification"] = "classification"
    schedule: Schedule
    datasets: dict[Identifier, Dataset]
    features: dict[Identifier, FeatureView]
    feature_service: Identifier
    prediction: Prediction
    training: Training
    gates: Gates = Gates()
    rollout: Rollout = Rollout()
    monitors: Monitors = Monitors()
    engine: Literal["local"] = "local"

    _folder: Path = PrivateAttr(default=Path())
    _contracts: dict[str, Contract] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known = {**self.prediction.request, **self.prediction.derived}
        for name in [self.prediction.moment, *self.prediction.key]:
            if name not in self.prediction.request:
                raise ValueError(f"prediction names {name!r}, which is no field of prediction.request")
        if self.prediction.request[self.prediction.moment].type != "timestamp":
            raise ValueError(f"prediction.moment {self.prediction.moment!r} must be a timestamp")
        absent = sorted(set(self.training.absent_views) - set(self.features))
        if absent:
            raise ValueError(f"training.absent_views names {absent[0]!r}, which is no view of features")
        both = set(self.prediction.request) & set(self.prediction.derived)
        if both:
            raise ValueError(f"prediction.derived repeats request fields: {sorted(both)}, of {sorted(known)}")
        return self

    @property
    def folder(self) -> Path:
        """The use case's folder."""
        return self._folder

    def dataset(self, name: str) -> Dataset:
        """Return a dataset's description.

        Raises:
            SpecError: There is none of that name.
        """
        if name not in self.datasets:
            near = difflib.get_close_matches(name, self.datasets, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.datasets)}"
            raise SpecError(f"there is no dataset {name!r}", where=self.name, hint=hint)
        return self.datasets[name]

    def contract(self, dataset: str) -> Contract:
        """Return a dataset's contract."""
        return self._contracts[dataset]

    def table(self, dataset: str) -> str:
        """Return the name of a dataset's table in the schema `warehouse`."""
        return f"{self.name}__{dataset}"

    def view_table(self, view: str) -> str:
        """Return the name of a feature view's table in the schema `features`."""
        return f"{self.name}__{view}"

    def sql(self, relative: str) -> str:
        """Return the text of an SQL file of the folder."""
        return (self._folder / relative).read_text(encoding="utf-8")

    def partitions(self, key: str) -> PartitionRange:
        """Return the days that a key names, all within the schedule.

        Raises:
            PartitionKeyError: The key is no day or lies outside the schedule.
        """
        days = PartitionRange.parse(key)
        end = self.schedule.end or dt.datetime.now(dt.UTC).date()
        if days.first < self.schedule.start or days.last > end:
            raise PartitionKeyError(
                f"the partition {key} is outside {self.schedule.start}..{end}, the days that there are",
                where=self.name,
                hint="choose a day within, or correct `schedule` in use_case.yaml",
            )
        return days

    def dataset_key(self, dataset: str, days: PartitionRange) -> str:
        """Return the partition key of a dataset: the days, or `static` for one that comes whole."""
        return days.key if self.datasets[dataset].partitioned else STATIC_KEY
