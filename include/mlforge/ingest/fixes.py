"""What a person asks for: rows of the quarantine, fixed in a file or released as they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlforge.errors import SourceError, TerminalError
from mlforge.ingest.casting import cast_column
from mlforge.ingest.cells import json_value
from mlforge.ingest.quarantine import QuarantinedRow, require_rows
from mlforge.ingest.releases import RowRelease
from mlforge.spec import UseCase

ROW_ID = "row_id"
RULES = "rules"


def fixed_rows(use_case: UseCase, dataset: str, partition_key: str, path: Path) -> list[RowRelease]:
    """Return the releases that a file of fixed rows asks for; rows of the quarantine that it leaves out stay there.

    Args:
        use_case: The use case.
        dataset: Name of the dataset.
        partition_key: One partition.
        path: CSV or JSON lines, as `mlforge quarantine show` writes it: `row_id` and the contract's columns. An empty
            CSV cell is a missing value.

    Raises:
        SourceError: The file cannot be read, or has a wrong column or value.
        TerminalError: A row of it is not in quarantine, or not any more.
    """
    present = {row.row_id: row for row in require_rows(use_case, dataset, partition_key)}
    given = _read(path)
    where = str(path)
    numbers = [_number(row, where) for row in given]
    unknown = [number for number in numbers if number not in present]
    if unknown or len(set(numbers)) < len(numbers):
        raise TerminalError(
            f"{len(unknown)} rows are not in quarantine, or not any more" if unknown else "a row comes twice",
            where=where,
            evidence=[f"row_id {number}" for number in unknown or numbers],
            hint="show the quarantine again, and fix the rows that it shows now",
        )
    rows = _typed(use_case, dataset, given, where)
    return [_fix(partition_key, present[number], row) for number, row in zip(numbers, rows, strict=True)]


def _fix(partition_key: str, old: QuarantinedRow, new: dict[str, Any]) -> RowRelease:
    return RowRelease(partition_key, old.row, old.rules, fixed=new)


def rows_as_they_are(use_case: UseCase, dataset: str, partition_key: str, rules: Sequence[str]) -> list[RowRelease]:
    """Return the releases that waive rules for every row of a partition that breaks them.

    Raises:
        TerminalError: No row in quarantine breaks them.
    """
    rows = require_rows(use_case, dataset, partition_key)
    meant = [row for row in rows if set(row.rules) & set(rules)]
    if not meant:
        raise TerminalError(
            f"no row in quarantine breaks {', '.join(rules)}",
            where=f"{use_case.name}.{dataset} {partition_key}",
            evidence=sorted({rule for row in rows for rule in row.rules}),
            hint="name one of the rules that are broken",
        )
    return [RowRelease(partition_key, row.row, row.rules, waived=tuple(sorted(rules))) for row in meant]


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            rows = [dict(row) for row in csv.DictReader(text.splitlines())]
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot be read: {error}", where=str(path), hint="give CSV or JSON lines") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise SourceError("it holds no rows", where=str(path), hint="write it with `mlforge quarantine show`")
    return rows


def _number(row: Mapping[str, Any], where: str) -> int:
    try:
        return int(row[ROW_ID])
    except (KeyError, TypeError, ValueError):
        raise SourceError(
            f"a row has no {ROW_ID}", where=where, hint="keep that column of `mlforge quarantine show`"
        ) from None


def _typed(use_case: UseCase, dataset: str, rows: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return the rows with the contract's columns only, as JSON values of the contract's types."""
    import pyarrow as pa

    columns = use_case.contract(dataset).columns
    names = {column.name for column in columns}
    given = {name for row in rows for name in row} - {ROW_ID, RULES}
    if given != names:
        raise SourceError(
            f"its columns are not the contract's: {', '.join(sorted(map(str, given ^ names)))}",
            where=where,
            hint="keep the columns of `mlforge quarantine show`",
        )
    typed = {}
    for column in columns:
        texts = pa.chunked_array([pa.array(_texts(row[column.name] for row in rows), pa.string())])
        typed[column.name] = cast_column(texts, column.arrow_type, column.name, where).to_pylist()
    return [{name: json_value(values[place]) for name, values in typed.items()} for place in range(len(rows))]


def _texts(values: Iterable[Any]) -> list[str | None]:
    return [None if value in (None, "") else value if isinstance(value, str) else json.dumps(value) for value in values]
