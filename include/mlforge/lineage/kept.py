"""Traced queries, kept in a file each: tracing takes ten times as long as reading, and every task is a new process."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from dataclasses import astuple
from pathlib import Path

from mlforge.lineage.columns import QueryLineage, Tables, trace_query
from mlforge.lineage.transformations import Input
from mlforge.refs import hash_files
from mlforge.settings import get_settings


@functools.cache
def _tracer() -> str:
    """Return the version of what traces: other code may find other columns."""
    from importlib.metadata import version

    code = hash_files([Path(__file__).with_name(name) for name in ("columns.py", "transformations.py")])
    return f"{code} {version('sqlglot')}"


def traced_query(text: str, tables: Tables, *, where: str = "") -> QueryLineage:
    """Return the column lineage of a query, from its file if it was traced before.

    Raises:
        SpecError: It is no SELECT that can be parsed.
    """
    known = json.dumps([_tracer(), text, {name: dict(columns) for name, columns in tables.items()}], sort_keys=True)
    path = get_settings().home / "lineage" / "traced" / f"{hashlib.sha256(known.encode()).hexdigest()}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return _load(path.read_text(encoding="utf-8"))
    traced = trace_query(text, tables, where=where)
    with contextlib.suppress(OSError):  # without its file it is traced again
        if get_settings().home.is_dir():
            _keep(path, traced)
    return traced


def _load(text: str) -> QueryLineage:
    value = json.loads(text)
    columns = {name: tuple(Input(*item) for item in inputs) for name, inputs in value["columns"]}
    return QueryLineage(columns, tuple(Input(*item) for item in value["rows"]), tuple(value["tables"]))


def _keep(path: Path, traced: QueryLineage) -> None:
    value = {
        "columns": [[name, [astuple(item) for item in inputs]] for name, inputs in traced.columns.items()],
        "rows": [astuple(item) for item in traced.rows],
        "tables": traced.tables,
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    temporary.replace(path)
