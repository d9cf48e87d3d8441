"""Training a registered model again, from its snapshot: the same bytes, or what differs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from mlforge.errors import TerminalError
from mlforge.examples import Examples, load_examples, split_by_time
from mlforge.fingerprints import differences, fingerprints
from mlforge.models import load_model
from mlforge.scoring import FORMATS, ModelDescription, ScoringModel
from mlforge.spec import UseCase
from mlforge.storage import filesystem
from mlforge.tracking import configure_tracking, tracking_errors
from mlforge.training.fitting import fit_model
from mlforge.training.tracking.origin import FILE, Origin

# Other versions of these can change a model's bytes though the project is the same.
SURROUNDINGS = ("lock", "python", "platform")
_COMMIT, _STATE = "mlflow.source.git.commit", "mlforge.git_state"
_LONGEST = 120


@dataclass(frozen=True)
class Recorded:
    """A registered model, and what its run says that it was made from.

    Attributes:
        uri: Address of the model.
        origin: What it was made from.
        commit: Of the checkout that trained it; empty where there was none.
        as_committed: Whether its files were those of the commit.
        dataset_version: Name of a dataset version that holds the training set; empty where there is none.
        differing: Kind of input → (recorded, now) where they differ, see `mlforge.fingerprints`.
    """

    version: int
    uri: str
    run_id: str
    origin: Origin
    commit: str
    as_committed: bool
    dataset_version: str
    differing: dict[str, tuple[str, str]]

    @property
    def hints(self) -> list[str]:
        """Commands that bring the recorded inputs back."""
        steps = []
        if self.differing and self.commit:
            note = "" if self.as_committed else "  # files had been changed since that commit"
            steps.append(f"git checkout {self.commit}{note}")
        if self.differing.keys() & {"lock", "python"}:
            steps.append(f"uv sync --frozen --python {self.origin.fingerprints.get('python', '')}".rstrip())
        if "platform" in self.differing:
            steps.append(f"run it on {self.origin.fingerprints['platform']}")
        return steps


@dataclass(frozen=True)
class Reproduction:
    """What came of training again.

    Attributes:
        content_hash: Of the model's file and description, as trained now.
        parts: What differs in the model; none where the bytes are the same.
        seconds: How long fitting took.
    """

    recorded: Recorded
    content_hash: str
    parts: tuple[str, ...]
    seconds: float

    @property
    def same(self) -> bool:
        """Whether the bytes are the same."""
        return not self.parts

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        recorded = self.recorded
        return {
            "use_case": recorded.origin.training_set.use_case,
            "version": recorded.version,
            "run_id": recorded.run_id,
            "training_set": recorded.origin.training_set.dump(),
            "same": self.same,
            "recorded_hash": recorded.origin.content_hash,
            "hash": self.content_hash,
            "inputs": {kind: {"recorded": old, "now": new} for kind, (old, new) in recorded.differing.items()},
            "model": list(self.parts),
            "hints": [] if self.same else recorded.hints,
            "seconds": round(self.seconds, 2),
        }


def read_recorded(use_case: UseCase, version: int) -> Recorded:
    """Return what a registered version was made from, beside what there is now.

    Raises:
        TerminalError: There is no such version, its run does not say what it was made from, or its snapshot is gone.
        ServiceUnavailableError: MLflow does not answer.
    """
    configure_tracking()
    from mlflow import MlflowClient

    client, where = MlflowClient(), f"{use_case.name}, version {version}"
    with tracking_errors("the model version cannot be found", where=where):
        registered = client.get_model_version(use_case.name, str(version))
        run = client.get_run(registered.run_id)
    origin, tags = _read_origin(run.info.run_id, where), run.data.tags
    recorded = Recorded(
        version=version,
        uri=registered.source,
        run_id=run.info.run_id,
        origin=origin,
        commit=tags.get(_COMMIT, ""),
        as_committed=tags.get(_STATE) == "as committed",
        dataset_version=tags.get("mlforge.dataset_version.training-set", ""),
        differing=differences(origin.fingerprints, fingerprints(use_case)),
    )
    _require_snapshot(recorded, where)
    return recorded


def reproduce_model(use_case: UseCase, recorded: Recorded) -> Reproduction:
    """Return what comes of training with the recorded plan, on the recorded snapshot, in this process.

    Raises:
        TerminalError: The model or its snapshot is gone, or is not what was stored.
        TrainingError: What is there now cannot be trained.
    """
    examples = load_examples(use_case, recorded.origin.training_set)
    began = time.perf_counter()
    fitted = fit_model(use_case, examples, recorded.origin.plan)
    seconds = time.perf_counter() - began
    parts: tuple[str, ...] = ()
    if fitted.content_hash != recorded.origin.content_hash:
        parts = tuple(
            _differing_parts(
                load_model(use_case, recorded.uri),
                fitted.scoring_model(use_case),
                split_by_time(use_case, examples)["test"],
            )
        )
    return Reproduction(recorded, fitted.content_hash, parts, seconds)


def _read_origin(run_id: str, where: str) -> Origin:
    from mlflow import artifacts

    with TemporaryDirectory(prefix="mlforge-origin-") as temporary:
        with tracking_errors(f"{FILE} of the model's run cannot be read", where=where):
            path = artifacts.download_artifacts(run_id=run_id, artifact_path=FILE, dst_path=temporary)
        try:
            return Origin.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise TerminalError(
                f"{FILE} of the model's run does not say what it was made from",
                where=where,
                evidence=[" ".join(str(error).split())[:200]],
                hint="somebody has changed it in MLflow; train it again",
            ) from error


def _require_snapshot(recorded: Recorded, where: str) -> None:
    """Say it at once where the snapshot is gone, and how it comes back."""
    given = recorded.origin.training_set
    system, path = filesystem(given.uri)
    if not system.exists(path):
        back = f"mlforge data version restore {recorded.dataset_version} --to FOLDER"
        raise TerminalError(
            "the snapshot that it was trained on is gone",
            where=where,
            evidence=[given.uri, f"SHA-256 {given.content_hash}"],
            hint=f"bring the file back: {back if recorded.dataset_version else 'it is in your backup of the storage'}; "
            f"or assemble {given.partition_key} again, and compare the hash",
        )


def _differing_parts(before: ScoringModel, now: ScoringModel, test: Examples) -> Iterator[str]:
    yield from _descriptions(before.description, now.description)
    old, new = before.description.model_sha256 or "", now.description.model_sha256 or ""
    if old != new:
        scores = [model.predict(model.encode(test.columns(model.feature_names))) for model in (before, now)]
        apart = np.abs(scores[0] - scores[1])
        yield f"{FORMATS[now.description.format].file}: {new[:12]}, recorded {old[:12]}"
        yield f"scores of the {len(apart):,} test rows: {apart.mean():.2g} apart on average, {apart.max():.2g} at most"


def _descriptions(before: ModelDescription, now: ModelDescription) -> Iterator[str]:
    for name in ("task", "format", "labels", "calibration"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            yield f"{name}: {_short(new)}; recorded {_short(old)}"
    known, found = ({each.name: each for each in side.features} for side in (before, now))
    for title, names in (
        ("features that are new", found.keys() - known),
        ("features that are missing", known.keys() - found),
    ):
        if names:
            yield f"{title}: {', '.join(sorted(names))}"
    changed = [name for name in known.keys() & found.keys() if known[name] != found[name]]
    if changed:
        yield f"features whose kind or categories differ: {', '.join(sorted(changed))}"
    if list(known) != list(found) and known.keys() == found.keys():
        yield "the order of the features"


def _short(value: object) -> str:
    if not isinstance(value, BaseModel):
        return str(value)
    parts = [f"{name} {each:.6g}" if isinstance(each, float) else f"{name} {each}" for name, each in value]
    return ", ".join(parts)[:_LONGEST]
