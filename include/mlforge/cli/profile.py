"""`mlforge profile`: what published partitions hold, in numbers or as a page with charts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlforge.ingest.profile import Profile


def register(app: typer.Typer) -> None:
    """Add the command to `mlforge`."""
    app.command("profile")(profile)


def profile(
    use_case: Annotated[str, typer.Argument(help="Name of the use case.")],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    partition: Annotated[str | None, typer.Argument(help="One partition; the newest, when not given.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page of all partitions to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per partition.")] = False,
) -> None:
    """Show what a published partition holds: counts, missing values, quantiles, most frequent values."""
    from mlforge.errors import TerminalError
    from mlforge.ingest.profile import read_profiles
    from mlforge.spec import load_use_case

    loaded = load_use_case(use_case)
    loaded.dataset(dataset)
    profiles = read_profiles(loaded, dataset)
    chosen = [each for each in profiles if partition in (None, each.partition_key)]
    if not chosen:
        raise TerminalError(
            "nothing is published", where=f"{use_case}.{dataset} {partition or ''}".strip(), hint="publish it first"
        )
    if html is not None:
        _write_page(html, loaded, dataset, chosen)
    elif as_json:
        for each in chosen:
            sys.stdout.write(json.dumps(vars(each), default=str) + "\n")
    else:
        _print(dataset, chosen[-1])


def _write_page(path: Path, use_case: Any, dataset: str, profiles: Sequence[Profile]) -> None:
    from mlforge.errors import TerminalError
    from mlforge.ingest.profile_page import profile_page

    try:
        path.write_text(profile_page(use_case, dataset, profiles), encoding="utf-8")
    except OSError as error:
        raise TerminalError(f"cannot be written: {error.strerror}", where=str(path), hint="name another file") from None
    sys.stderr.write(f"{path}: {len(profiles):,} partitions\n")


def _print(dataset: str, shown: Profile) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"{dataset} {shown.partition_key}, version {shown.version} of {shown.published_at:%Y-%m-%d %H:%M} UTC: "
        f"{shown.rows:,} rows, {shown.rows_quarantined:,} in quarantine, {shown.rows_duplicate:,} copies left out",
        highlight=False,
    )
    table = Table("column", "missing", "distinct", "min", "median", "max", "most frequent")
    for name, numbers in shown.columns.items():
        quantiles = numbers.get("quantiles") or [None] * 5
        top = ", ".join(f"{value} ({count:,})" for value, count in numbers.get("top", [])[:3])
        share = numbers["nulls"] / shown.rows if shown.rows else 0.0
        missing = f"{share:.1%}" if numbers["nulls"] else ""
        cells = [_cell(numbers.get("min")), _cell(quantiles[2]), _cell(numbers.get("max"))]
        table.add_row(name, missing, f"{numbers['distinct']:,}", *cells, top)
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
