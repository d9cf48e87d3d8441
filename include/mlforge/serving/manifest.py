"""`release.json`: what a bento knows of its release; it makes the generic service in `bentos/` that release's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from mlforge.errors import ServingError
from mlforge.refs import Release
from mlforge.spec import UseCase
from mlforge.spec.base import Identifier
from mlforge.spec.prediction import RequestField
from mlforge.spec.task import Task

FILE = "release.json"
MODEL_FOLDER = "model"
USE_CASE_FOLDER = "use_case"
THRESHOLD = 0.5


class Manifest(BaseModel):
    """A release as its server needs it.

    Attributes:
        release_id: The release that the bento was built for; one that follows by rollback may reuse the bento.
        moment: Request field with the instant that the prediction is for.
        task: What is predicted.
        labels: Name of the negative and of the positive class; none for a regression.
        unit: Unit of a regression's value.
        threshold: Probability from which on the answer is the positive label.
        model_folder: Folder of the model below the bento's files.
        use_case_folder: Folder above the copy of the use case's own folder, as the release was made with it.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())

    use_case: Identifier
    title: str
    description: str
    release_id: int
    bento: str
    model_name: str
    model_version: int
    model_uri: str
    feature_service: str
    moment: Identifier
    request: dict[Identifier, RequestField]
    derived: dict[Identifier, Literal["integer", "number", "string"]]
    task: Task = "classification"
    labels: list[str] = Field(max_length=2)
    unit: str | None = None
    threshold: float = Field(default=THRESHOLD, gt=0, lt=1)
    model_folder: str = MODEL_FOLDER
    use_case_folder: str = USE_CASE_FOLDER

    @classmethod
    def of(cls, use_case: UseCase, release: Release) -> Self:
        """Return the manifest of a use case's release."""
        asked = use_case.prediction
        return cls(
            use_case=use_case.name,
            title=use_case.title,
            description=use_case.description,
            release_id=release.release_id,
            bento=release.bento,
            model_name=release.model_name,
            model_version=release.model_version,
            model_uri=release.uri,
            feature_service=release.feature_service,
            moment=asked.moment,
            request=asked.request,
            derived=asked.derived,
            task=use_case.task,
            labels=asked.labels,
            unit=asked.unit,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest that lies in a folder.

        Raises:
            ServingError: There is none, or it is none.
        """
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise ServingError(
                "the bento's release.json cannot be read",
                where=str(folder),
                evidence=[" ".join(str(error).split())[:200]],
                hint="package the release again",
            ) from error

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=2), encoding="utf-8")

    def answer(self, score: float) -> dict[str, Any]:
        """Return what an answer says of a score: probability and label, or value and unit."""
        if self.task == "classification":
            return {"probability": score, "label": self.label(score)}
        return {"value": score} | ({} if self.unit is None else {"unit": self.unit})

    def label(self, score: float) -> str | None:
        """Return the class that a score means, None for a regression."""
        return self.labels[int(score >= self.threshold)] if self.task == "classification" else None
