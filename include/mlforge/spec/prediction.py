"""`prediction`: what a prediction takes and says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlforge.spec.base import Identifier, SpecModel


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
        labels: Name of the negative and of the positive class; none for a regression.
        unit: Unit of the value that a regression predicts, such as USD.
    """

    moment: Identifier
    request: dict[Identifier, RequestField]
    derived: dict[Identifier, Literal["integer", "number", "string"]] = Field(default_factory=dict)
    key: list[Identifier]
    labels: list[str] = Field(default_factory=list, max_length=2)
    unit: str | None = Field(default=None, min_length=1, max_length=24)
