"""A stage by its name: its function, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlforge.errors import SpecError

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.spec import UseCase


@dataclass(frozen=True)
class Stage:
    """A stage in the order of its chain.

    Attributes:
        function: Takes a `StageRun` and, when there is `needs`, the ref of that stage.
        needs: Name of the stage whose ref it takes.
        input: Kind of that ref, by its name in `mlforge.refs`.
        per_dataset: Whether it runs once per dataset.
        searched: The same as `needs` and `input` for a use case that searches before it trains.
    """

    function: Callable[..., Ref | int]
    needs: str | None = None
    input: str | None = None
    per_dataset: bool = False
    searched: tuple[str, str] | None = None

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").splitlines()[0]

    def before(self, use_case: UseCase) -> str | None:
        """Return the name of the stage whose ref it takes for a use case."""
        if self.searched is not None and use_case.training.searches:
            return self.searched[0]
        return self.needs

    def load_input(self, value: dict[str, Any] | Ref) -> Ref:
        """Return the ref that the stage takes, from what `dump` wrote.

        Raises:
            SpecError: It is no such ref, or the stage takes none.
        """
        from pydantic import ValidationError

        from mlforge import refs

        if self.input is None:
            raise SpecError("the stage takes no ref", hint="leave the input out")
        kind: type[Ref] = getattr(refs, self.input)
        try:
            if self.searched is not None and (isinstance(value, refs.Tuning) or "training_set" in dict(value)):
                kind = getattr(refs, self.searched[1])
            return kind.load(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SpecError(f"this is no {kind.__name__}: `{place}`: {first['msg']}") from None
