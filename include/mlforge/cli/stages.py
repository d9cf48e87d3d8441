"""`mlforge stage …`: any arrow of the chain, from a terminal, a script or a pod."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlforge.errors import PartitionKeyError, SpecError
from mlforge.stages import STAGES, Stage

if TYPE_CHECKING:
    from mlforge.refs import Ref
    from mlforge.stages import StageRun

stages_app = typer.Typer(
    help="Run one stage of a use case's chain; prints its ref as JSON, one line per dataset.",
    no_args_is_help=True,
)

UseCaseOption = Annotated[str, typer.Option("--use-case", help="Name of the use case.")]
PartitionOption = Annotated[
    str | None, typer.Option("--partition", help="A day, 2013-04-01, or a range, 2013-01-01..2013-03-31.")
]
FromOption = Annotated[str | None, typer.Option("--from", help="First day of a range.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last day of a range.")]
DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Only this dataset; all, when not given.")]
InputOption = Annotated[
    str | None,
    typer.Option("--input", help="File with the ref that the stage takes, `-` for stdin; else earlier stages run."),
]


def _command(name: str) -> Callable[..., None]:
    """Return the function of a stage's command."""

    def command(
        use_case: UseCaseOption,
        partition: PartitionOption = None,
        first: FromOption = None,
        last: ToOption = None,
        source: InputOption = None,
    ) -> None:
        _run(name, use_case, _range_key(partition, first, last), source, None)

    def dataset_command(
        use_case: UseCaseOption,
        partition: PartitionOption = None,
        first: FromOption = None,
        last: ToOption = None,
        dataset: DatasetOption = None,
        source: InputOption = None,
    ) -> None:
        _run(name, use_case, _range_key(partition, first, last), source, dataset)

    return dataset_command if STAGES[name].per_dataset else command


for _name, _stage in STAGES.items():
    stages_app.command(_name, help=_stage.summary)(_command(_name))


def _run(name: str, use_case: str, key: str | None, source: str | None, dataset: str | None) -> None:
    """Run a stage and print what it returned."""
    for run, given in _runs(STAGES[name], use_case, key, source, dataset):
        result = _perform(name, run, given)
        _say(name, run, result)
        sys.stdout.write(json.dumps(result if isinstance(result, int) else result.dump()) + "\n")


def _runs(
    stage: Stage, use_case: str, key: str | None, source: str | None, dataset: str | None
) -> Iterator[tuple[StageRun, Ref | None]]:
    """Yield each run that a command asks for, with the ref that it is given: one per dataset, or one."""
    import getpass

    from mlforge.spec import load_use_case
    from mlforge.stages import StageRun

    spec = load_use_case(use_case)
    given = [stage.load_input(value) for value in _read_refs(source)] if source else [None]
    for ref in given:
        partitions = key or (ref.partition_key if ref is not None else None)
        if partitions is None:
            raise PartitionKeyError("no partition is given", where=use_case, hint="add --partition or --from and --to")
        run = StageRun(use_case=spec, days=spec.partitions(partitions), who=getpass.getuser(), why="by command")
        if not stage.per_dataset or ref is not None:
            yield run, ref
            continue
        if dataset is not None and dataset not in spec.datasets:
            raise SpecError(
                f"there is no dataset {dataset!r}", where=use_case, hint=f"there are: {', '.join(spec.datasets)}"
            )
        for name in [dataset] if dataset else spec.datasets:
            yield replace(run, dataset=name), None


def _perform(name: str, run: StageRun, given: Ref | None) -> Ref | int:
    """Return what a stage returns; the stages that it needs run first when it is given nothing."""
    stage = STAGES[name]
    needs = stage.before(run.use_case)
    if needs is None:
        return stage.function(run)
    if given is None:
        before = _perform(needs, run, None)
        _say(needs, run, before)
        return stage.function(run, before)
    return stage.function(run, given)


def _range_key(partition: str | None, first: str | None, last: str | None) -> str | None:
    if (first is None) != (last is None) or (first is not None and partition is not None):
        raise typer.BadParameter("give --partition, or both --from and --to")
    return partition if first is None else f"{first}..{last}"


def _read_refs(source: str) -> list[dict[str, Any]]:
    """Return the refs in a file or on stdin, one JSON object or one per line.

    Raises:
        SpecError: It cannot be read, or is no JSON.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        values, decoder, place = [], json.JSONDecoder(), 0
        while text[place:].strip():
            place += len(text[place:]) - len(text[place:].lstrip())
            value, place = decoder.raw_decode(text, place)
            values.append(value)
    except (OSError, ValueError) as error:
        raise SpecError(
            f"no ref can be read: {error}", where=source, hint="give the JSON that a stage printed"
        ) from None
    if not values:
        raise SpecError("it holds no ref", where=source, hint="give the JSON that a stage printed")
    return values


def _say(name: str, run: StageRun, result: Ref | int) -> None:
    """Write the line for people."""
    if isinstance(result, int):
        sys.stderr.write(f"{name} {run.days.key}: {result:,}\n")
        return
    about = f"{name} {getattr(result, 'dataset', '')}".strip()
    sys.stderr.write(f"{about} {result.partition_key}: {result.rows:,} rows, {result.uri}\n")
