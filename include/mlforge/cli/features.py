"""`mlforge features …`: the registry, how old each view is online, and whether serving sees what training saw."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mlforge.features.registry import ViewDescription
    from mlforge.features.skew import SkewReport
    from mlforge.features.status import FeatureStatus, ViewStatus

features_app = typer.Typer(help="Feature views: registry, state online, skew.", no_args_is_help=True)
_console = Console()
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

UseCaseArgument = Annotated[str, typer.Argument(help="Name of the use case.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@features_app.command("apply")
def apply(
    use_case: Annotated[str | None, typer.Argument(help="Name of the use case; all, when not given.")] = None,
) -> None:
    """Register what feature_repo declares; the same declarations again change nothing."""
    from mlforge.features import apply_features
    from mlforge.spec import list_use_cases, load_use_case

    for name in [use_case] if use_case else list_use_cases():
        _console.print(f"{name}: {', '.join(apply_features(load_use_case(name)))}")


@features_app.command("sync")
def sync(use_case: UseCaseArgument) -> None:
    """Bring online what is built and not there: after the online store was changed or lost."""
    from mlforge.features import sync_online
    from mlforge.spec import load_use_case

    for view, written in sync_online(load_use_case(use_case)).items():
        _console.print(f"{view}: {written:,} entities written")


@features_app.command("status")
def status(
    use_case: UseCaseArgument,
    max_age: Annotated[
        str | None, typer.Option("--max-age", help="Exit with 1 when a view is older online: 36h, 2d.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option("--at", help="Count ages to this instant, UTC; now, when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how old each view is online, and what is built and not there."""
    from datetime import UTC

    from mlforge.features.status import feature_status
    from mlforge.spec import load_use_case

    limit = None if max_age is None else _duration(max_age)
    found = feature_status(load_use_case(use_case), at.replace(tzinfo=UTC) if at else None)
    late = [] if limit is None else found.too_old(limit)
    if as_json:
        _print_json({**asdict(found), "too_old": [view.view for view in late]})
    else:
        _show_status(found, late)
    if late:
        raise typer.Exit(1)


@features_app.command("list")
def list_views(
    use_case: Annotated[str | None, typer.Argument(help="Name of the use case; all, when not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered views."""
    from mlforge.features.registry import describe_views
    from mlforge.spec import list_use_cases, load_use_case

    views = [
        view for name in ([use_case] if use_case else list_use_cases()) for view in describe_views(load_use_case(name))
    ]
    if as_json:
        _print_json([asdict(view) for view in views])
        return
    table = Table("use case", "view", "version", "keys", "features", "ttl", "rows", "read by", "description")
    for view in views:
        table.add_row(
            view.use_case,
            view.name,
            str(view.version) if view.kind == "stored" else view.kind,
            ", ".join(key.name for key in view.keys),
            str(len(view.features)),
            _age(timedelta(seconds=view.ttl_seconds)) if view.ttl_seconds else "",
            "" if view.offline_rows is None else f"{view.offline_rows:,}",
            _releases(view),
            view.description,
        )
    _console.print(table)


@features_app.command("show")
def show(
    view: Annotated[str, typer.Argument(help="Name of the view.")],
    use_case: Annotated[
        str | None, typer.Option("--use-case", "-u", help="Name of the use case; found by the view, when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a view: keys, features, versions, who reads it, and where it comes from."""
    from mlforge.features.registry import describe_view
    from mlforge.spec import list_use_cases, load_use_case

    loaded = [load_use_case(name) for name in ([use_case] if use_case else list_use_cases())]
    found = describe_view(next((each for each in loaded if view in {*each.features, *each.on_demand}), loaded[0]), view)
    if as_json:
        _print_json(asdict(found))
    else:
        _show_view(found)


@features_app.command("skew")
def skew(
    use_case: UseCaseArgument,
    partition: Annotated[str, typer.Option("--partition", help="Days of the predictions' moments, or a range.")],
    sample: Annotated[int, typer.Option("--sample", min=1, help="How many receipts at most.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """Compare served values with the offline store, as of their moment; exits with 1 when they differ."""
    from mlforge.features.skew import check_skew
    from mlforge.spec import load_use_case

    loaded = load_use_case(use_case)
    report = check_skew(loaded, loaded.partitions(partition), sample)
    if as_json:
        _print_json({"receipts": report.receipts, "values": report.values, "ok": report.ok, **report.dump()})
    else:
        _show_skew(report)
    if not report.ok:
        raise typer.Exit(1)


def _show_status(found: FeatureStatus, late: list[ViewStatus]) -> None:
    _console.print(f"{found.use_case}: online features in {found.store}, as of {found.at:%Y-%m-%d %H:%M} UTC")
    table = Table(
        "view", "version", "newest online", "age", "ttl", "partition", "entities", "too old", "pending", "stale"
    )
    for view in found.views:
        table.add_row(
            view.view,
            f"{view.version}{'' if view.current else ' (older)'}",
            f"{view.newest:%Y-%m-%d %H:%M}" if view.newest else "nothing",
            _age(view.age) if view.age is not None else "",
            _age(view.ttl) if view.ttl else "",
            view.partition or "",
            f"{view.entities:,}",
            f"{view.stale_share:.0%}",
            _keys(view.pending),
            _keys(view.outdated),
            style="red" if view in late else None,
        )
    _console.print(table)


def _show_view(view: ViewDescription) -> None:
    _console.print(f"[bold]{view.name}[/bold] of {view.use_case}, version {view.version}: {view.description}")
    _console.print(f"owner {view.owner}; {view.source}; in {', '.join(view.services) or 'no service'}")
    if view.kind == "on demand":
        table = Table("feature", "type")
        for column in view.features:
            table.add_row(column.name, column.type)
        _console.print(table)
        return
    ttl = f"{_age(timedelta(seconds=view.ttl_seconds))} to live" if view.ttl_seconds else "never too old"
    rows = "no table yet" if view.offline_rows is None else f"{view.offline_rows:,} rows offline"
    _console.print(f"{rows}; {ttl}; read by {_releases(view) or 'no release'}")
    table = Table("column", "role", "type", "description")
    for role, columns in (("key", view.keys), ("feature", view.features)):
        for column in columns:
            table.add_row(column.name, role, column.type, column.description)
    _console.print(table)
    versions = Table("version", "since (UTC)", "features", "against the one before")
    before: tuple[str, ...] = ()
    for version in view.versions:
        added = [f"+{name}" for name in version.features if before and name not in before]
        gone = [f"-{name}" for name in before if name not in version.features]
        since = f"{version.since:%Y-%m-%d %H:%M}"
        versions.add_row(str(version.number), since, str(len(version.features)), ", ".join(added + gone))
        before = version.features
    _console.print(versions)


def _show_skew(report: SkewReport) -> None:
    _console.print(f"{report.use_case} {report.partition_key}: {report.receipts:,} receipts, {report.values:,} values")
    for what, counts in (
        ("not online yet (lag)", report.lag),
        ("corrected since", report.corrected),
        ("about the past (ahead)", report.ahead),
    ):
        if counts:
            _console.print(f"  {what}: " + ", ".join(f"{view} {count:,}" for view, count in counts.items()))
    if report.ok:
        _console.print("  no skew", style="green")
        return
    for name, count in report.skewed.most_common():
        _console.print(f"  [red]{name}[/red]: {count:,} differ", highlight=False)
        for each in report.examples[name]:
            _console.print(
                f"    receipt {each.receipt_id}: served {each.served}, offline {each.expected}", soft_wrap=True
            )


def _releases(view: ViewDescription) -> str:
    return ", ".join(f"release {each.release_id} (v{each.view_version})" for each in view.releases[:3])


def _keys(keys: tuple[str, ...]) -> str:
    if len(keys) <= 2:
        return ", ".join(keys)
    return f"{len(keys)}: {keys[0]} to {keys[-1]}"


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} d"


def _duration(text: str) -> timedelta:
    unit = _UNITS.get(text[-1:], 0)
    if not unit or not text[:-1].replace(".", "", 1).isdigit():
        raise typer.BadParameter(f"{text!r} is no duration: write 90m, 36h or 2d")
    return timedelta(seconds=float(text[:-1]) * unit)


def _print_json(value: Any) -> None:
    def plain(item: Any) -> Any:
        return item.total_seconds() if isinstance(item, timedelta) else item.isoformat()

    typer.echo(json.dumps(value, default=plain))
