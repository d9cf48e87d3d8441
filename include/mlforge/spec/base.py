"""What the models of `use_case.yaml` have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Two of them and a number make the name of a table, for which PostgreSQL has 63 characters.
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,23}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class SpecModel(BaseModel):
    """Strict: an unknown key, a wrong type, NaN and infinity are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True, protected_namespaces=())
