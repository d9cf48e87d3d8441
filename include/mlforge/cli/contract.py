"""`mlforge contract …`: check data, compare versions of a contract, and read contracts and results as pages."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlforge.errors import ContractError, SpecError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlforge.contracts.diff import Change
    from mlforge.contracts.impact import Impact, Live
    from mlforge.contracts.results import CheckResult
    from mlforge.spec import Contract, UseCase

contract_app = typer.Typer(
    help="Data contracts: check data, compare versions, read them and their results as pages.", no_args_is_help=True
)
_console = Console()
_STYLES = {"passed": "green", "warned": "yellow", "quarantined": "magenta", "failed": "red"}

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contract_app.command("check")
def check(
    use_case: UseCaseArgument,
    dataset: Annotated[str | None, typer.Argument(help="Name of the dataset; all of them, when not given.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A CSV or Parquet file to check instead.")] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", help="A day, 2013-04-01, or a range, 2013-01-01..2013-03-31.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, or a partition of the source, without publishing anything; exit status 1 when it is broken."""
    from mlforge.contracts import preview_rows
    from mlforge.spec import load_use_case

    spec = load_use_case(use_case)
    if file is not None and dataset is None:
        raise SpecError("a file is of one dataset", where=use_case, hint=f"name one of {', '.join(spec.datasets)}")
    found = []
    for name in [dataset] if dataset else spec.datasets:
        spec.dataset(name)
        rows, key = _file_rows(spec, name, file) if file else _source_rows(spec, name, partition)
        found.append(preview_rows(spec, name, key, rows))
    if as_json:
        _print_json([_plain_result(result) for result in found])
    else:
        for result in found:
            _show_check(result)
    if any(result.outcome == "failed" for result in found):
        raise typer.Exit(1)


def _file_rows(spec: UseCase, dataset: str, file: Path) -> tuple[pa.Table, str]:
    """Return a file's rows in the contract's types, and the file's name."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    from mlforge.ingest.casting import cast_table

    try:
        if file.suffix == ".parquet":
            table = pq.read_table(file)
        else:
            with csv.open_csv(file) as reader:
                names = reader.schema.names
            types = csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), null_values=["", "NA"], strings_can_be_null=True
            )
            table = csv.read_csv(file, convert_options=types)
    except (OSError, pa.ArrowInvalid) as error:
        raise SpecError(f"cannot be read: {error}", where=str(file), hint="give a CSV or Parquet file") from error
    return cast_table(table, spec.contract(dataset), str(file)), file.name


def _source_rows(spec: UseCase, dataset: str, partition: str | None) -> tuple[pa.Table, str]:
    """Return the rows that the source has for a partition, and its key."""
    import io

    import pyarrow.parquet as pq

    from mlforge import storage
    from mlforge.ingest import extract_partition

    if partition is None and spec.dataset(dataset).partitioned:
        raise SpecError("no partition is given", where=spec.name, hint="add --partition 2013-04-01, or --file")
    days = spec.partitions(partition or str(spec.schedule.start))
    raw = extract_partition(spec, dataset, days)
    content = storage.read_bytes(raw.uri, content_hash=raw.content_hash)
    return pq.read_table(io.BytesIO(content)), raw.partition_key


def _show_check(found: CheckResult) -> None:
    from mlforge.contracts.rules import show

    table = Table(title=f"{found.use_case}.{found.dataset} {escape(found.partition_key)}", title_justify="left")
    for column in ("rule", "severity", "must be", "figure", "example"):
        table.add_column(column, overflow="fold")
    broken = [rule for rule in found.rules if not rule.passed]
    for rule in broken:
        figure = f"{rule.rows_failed:,} of {rule.rows_checked:,} rows" if rule.scope == "row" else show(rule.value)
        days = f" in {rule.partitions_failed} partitions" if rule.partitions_failed > 1 else ""
        example = json.dumps(rule.examples[0], ensure_ascii=False) if rule.examples else ""
        bound = "kept by every row" if rule.scope == "row" else rule.bound
        table.add_row(*map(escape, (rule.name, rule.severity, bound, figure + days, example)))
    if broken:
        _console.print(table)
    for reason in found.reasons:
        _console.print(reason, style="red", markup=False, soft_wrap=True)
    if found.extra_columns:
        _console.print(f"left out, not in the contract: {', '.join(found.extra_columns)}", markup=False)
    counts = found.counts
    _console.print(
        f"[{_STYLES[found.outcome]}]{found.outcome}[/]: {found.dataset} {escape(found.partition_key)},"
        f" {len(found.rules) - len(broken)} of {len(found.rules)} rules kept; {counts.rows_in:,} rows came,"
        f" {counts.kept:,} whole, {counts.broken:,} broken, {counts.duplicate:,} exact copies",
        soft_wrap=True,
    )


def _plain_result(found: CheckResult) -> dict[str, Any]:
    counts = found.counts
    return {
        **{name: value for name, value in asdict(found).items() if name not in {"partitions", "counts", "rules"}},
        "rows_in": counts.rows_in,
        "rows_kept": counts.kept,
        "rows_broken": counts.broken,
        "rows_duplicate": counts.duplicate,
        "rules": [asdict(rule) for rule in found.rules],
    }


@contract_app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="A contract file, REVISION:PATH, or with --against a use case.")],
    new: Annotated[str, typer.Argument(help="A contract file, REVISION:PATH, or with --against a dataset.")],
    against: Annotated[str | None, typer.Option("--against", help="Git revision to compare a dataset with.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what changed in a contract, what that breaks, and whether its version says so; exit status 1 if not."""
    from mlforge.cli.contract_versions import read_versions
    from mlforge.contracts.diff import compare, parse_version, suggested_version
    from mlforge.contracts.impact import impact_of_all, what_is_live
    from mlforge.settings import get_settings

    before, after, owner = read_versions(old, new, against)
    changes = compare(before, after)
    wanted = suggested_version(before, changes)
    enough = not changes or parse_version(after.version, after) >= parse_version(wanted, before)
    hit = impact_of_all(owner[0], owner[1], [change.column for change in changes]) if owner else {}
    live = what_is_live(owner[0], get_settings().gateway_url) if owner and changes else None
    if as_json:
        _print_json(
            {
                "old": before.version,
                "new": after.version,
                "changes": [{**asdict(change), "breaking": change.breaking} for change in changes],
                "suggested": wanted,
                "enough": enough,
                "hits": {column: asdict(impact) for column, impact in hit.items()},
                "live": asdict(live) if live else None,
            }
        )
    else:
        _show_diff(before, after, changes, hit, live, (wanted, enough, owner is not None))
    if not enough:
        raise typer.Exit(1)


def _show_diff(
    before: Contract,
    after: Contract,
    changes: list[Change],
    hit: dict[str, Impact],
    live: Live | None,
    version: tuple[str, bool, bool],
) -> None:
    wanted, enough, owned = version
    if not changes:
        _console.print(f"{after.name}: nothing changed ({before.version} → {after.version})")
        return
    table = Table("", "column", "what changed", "hits")
    for change in changes:
        mark = "[red]breaking[/]" if change.breaking else "[green]compatible[/]" if change.level == "minor" else "words"
        impact = hit.get(change.column) if change.level != "patch" else None
        table.add_row(mark, escape(change.column), escape(change.what), escape(_hits(impact)))
    _console.print(table)
    if not owned:
        _console.print("no use case has this contract: nobody can be named who reads it")
    if live is not None:
        _console.print(_live_line(live), markup=False, soft_wrap=True)
    if enough:
        _console.print(f"[green]version {before.version} → {after.version}[/]; {wanted} would do")
    else:
        _console.print(
            f"[red]version {before.version} → {after.version} says too little[/]: make it {wanted} or higher",
            soft_wrap=True,
        )


def _hits(impact: Impact | None) -> str:
    if impact is None:
        return ""
    parts = [f"views {', '.join(impact.views)}"] if impact.views else []
    parts += [f"inputs of the model ({len(impact.inputs)}): {', '.join(impact.inputs)}"] if impact.inputs else []
    parts += ["the label"] if impact.label else []
    parts += [f"the dataset's {' and '.join(impact.times)}"] if impact.times else []
    parts += [f"unknown: {impact.unknown}"] if impact.unknown else []
    return "\n".join(parts) or "nobody"


def _live_line(live: Live) -> str:
    if not live.known:
        return f"what is live now could not be asked: {live.why_unknown}"
    champion, endpoint = live.champion, live.endpoint
    said = (
        "no champion" if champion is None else f"champion: release {champion['release']}, version {champion['version']}"
    )
    answers = "nothing is live" if endpoint is None else f"live: release {endpoint['release']} at {endpoint['address']}"
    return f"{said}; {answers}"


@contract_app.command("docs")
def docs(
    use_case: UseCaseArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pages.")],
) -> None:
    """Write each contract as a page: columns, rules in words, policy, who uses which column, newest results."""
    from mlforge.contracts.documentation import contract_pages
    from mlforge.spec import load_use_case

    output.mkdir(parents=True, exist_ok=True)
    for name, page in contract_pages(load_use_case(use_case)).items():
        (output / name).write_text(page, encoding="utf-8")
        sys.stdout.write(f"{output / name}\n")


@contract_app.command("results")
def results(
    use_case: UseCaseArgument,
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    partition: Annotated[str, typer.Argument(help="A day, 2013-04-01, or `static`.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for the page.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the newest check of a partition found, as a table, as JSON or as a page."""
    from mlforge.contracts import results as ledger_results
    from mlforge.contracts.page import render_results, store_page
    from mlforge.contracts.translate import translate
    from mlforge.spec import load_use_case

    spec = load_use_case(use_case)
    spec.dataset(dataset)
    rules = {rule.name: rule for rule in translate(spec.contract(dataset))}
    found = ledger_results.newest_result(spec.name, dataset, spec.partition_keys(partition), rules)
    if found is None:
        raise ContractError(
            "it has never been checked",
            where=f"{use_case}.{dataset} {partition}",
            hint=f"run `mlforge stage check --use-case {use_case} --partition {partition}`",
        )
    if as_json:
        _print_json(_plain_result(found))
        return
    _show_check(found)
    if output is not None:
        output.write_text(render_results(found), encoding="utf-8")
    where = output.resolve().as_uri() if output else store_page(found)
    _console.print(where, soft_wrap=True)
    if open_page:
        typer.launch(where)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")
