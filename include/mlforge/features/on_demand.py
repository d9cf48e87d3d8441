"""On-demand features: computed from a request and stored features by the functions of `on_demand.py`.

Training calls them with whole columns, the server with columns of one value, Feast with what it has retrieved. The file
travels in the bento, so a release keeps the functions that it was trained with. (Feast keeps a copy in its registry, as
a pickle, for those who read through Feast; our stages never load it.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlforge.errors import FeatureError
from mlforge.python_files import import_file
from mlforge.spec import UseCase

FILE = "on_demand.py"
Columns = Mapping[str, Sequence[Any]]
Function = Callable[[Columns], Mapping[str, Sequence[Any]]]


@functools.cache
def read_functions(path: Path) -> Mapping[str, Function]:
    """Return the public functions of an `on_demand.py`, by name; the file is imported once per process.

    Raises:
        FeatureError: It cannot be imported.
    """
    return import_functions(path)


def import_functions(path: Path) -> dict[str, Function]:
    """Return the public functions of an `on_demand.py`, imported anew: for Feast, which changes what it is given.

    Raises:
        FeatureError: It cannot be imported.
    """
    name, hint = f"mlforge_on_demand_{path.parent.name}", "write the functions of `on_demand` there"
    module = import_file(path, name, error=FeatureError, hint=hint)
    return {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}


class OnDemand:
    """The on-demand features of a use case.

    Args:
        use_case: Its `on_demand` names the functions and what they give.

    Raises:
        FeatureError: A function is missing.
    """

    def __init__(self, use_case: UseCase) -> None:
        self._where = f"{use_case.name}, {FILE}"
        self._declared = use_case.on_demand
        functions = read_functions(use_case.folder / FILE) if use_case.on_demand else {}
        missing = sorted(set(use_case.on_demand) - set(functions))
        if missing:
            raise FeatureError(f"the function `{missing[0]}` is missing", where=self._where, hint="write it")
        self._functions = {name: functions[name] for name in use_case.on_demand}

    @property
    def types(self) -> dict[str, str]:
        """Name of each column, `<view>__<feature>` → `integer`, `number` or `string`."""
        return {f"{view}__{name}": kind for view, columns in self._declared.items() for name, kind in columns.items()}

    def compute(self, columns: Columns) -> dict[str, list[Any]]:
        """Return the columns that the functions give.

        Args:
            columns: Request, derived and stored columns of equal length; None where a value is unknown.

        Raises:
            FeatureError: A function fails, or gives other features than declared.
        """
        computed: dict[str, list[Any]] = {}
        for view, function in self._functions.items():
            try:
                given = function(columns)
            except Exception as error:
                raise FeatureError(f"`{view}` fails: {error!r}", where=self._where, hint="correct it") from error
            if set(given) != set(self._declared[view]):
                raise FeatureError(
                    f"`{view}` gives other features than `on_demand` in use_case.yaml names",
                    where=self._where,
                    evidence=sorted(set(given) ^ set(self._declared[view])),
                )
            computed |= {f"{view}__{name}": [_plain(value) for value in given[name]] for name in self._declared[view]}
        return computed


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
