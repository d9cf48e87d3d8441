"""Tables of `mlforge models`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mlforge.db.ledger import LiveDeployment, ReleaseRecord
    from mlforge.registry.catalog import ModelVersion
    from mlforge.registry.details import VersionComparison, VersionDetails
    from mlforge.registry.repairs import RepairRecord

_HASH = 12


def print_champions(rows: Iterable[Mapping[str, Any]], moment: datetime | None) -> None:
    """Print the champion of each use case and what answers."""
    title = "now" if moment is None else f"at {moment:%Y-%m-%d %H:%M:%S} UTC"
    table = Table("use case", "champion", "model", "release", "since (UTC)", "trained up to", "answers", title=title)
    for row in rows:
        record, live = row["champion"], row["live"]
        answers = f"release {live.release_id} since {_minute(live.changed_at)}" if live else "nothing"
        if record is None:
            table.add_row(row["use_case"], "none yet", "", "", "", "", answers)
            continue
        release = record.release
        table.add_row(
            *(row["use_case"], record.version, f"version {release.model_version}", str(release.release_id)),
            *(_minute(record.released_at), release.partition_key, answers),
        )
    _print(table)


def print_versions(versions: Sequence[ModelVersion]) -> None:
    """Print model versions with what the gate said and what they are."""
    if not versions:
        _print("no model version yet")
        return
    table = Table("use case", "model", "semantic", "state", "gate", "trained up to", "releases", "because")
    for each in versions:
        gate = "" if each.passed is None else "passed" if each.passed else "refused"
        table.add_row(
            *(each.use_case, str(each.number), each.version or "", each.state, gate, each.partition_key),
            *(", ".join(str(release) for release in each.releases), "" if each.passed else "; ".join(each.reasons)),
        )
    _print(table)


def print_history(
    releases: Sequence[ReleaseRecord], repairs: Sequence[RepairRecord], live: LiveDeployment | None
) -> None:
    """Print releases, newest first, what answers, and what was repaired in MLflow."""
    if not releases:
        _print("no release yet")
    else:
        table = Table("release", "when (UTC)", "kind", "semantic", "model", "follows", "answers", "who", "why")
        for record in releases:
            release = record.release
            answers = "yes" if live and live.release_id == release.release_id else ""
            table.add_row(
                *(str(release.release_id), f"{record.released_at:%Y-%m-%d %H:%M:%S}", record.kind, record.version),
                *(str(release.model_version), str(release.parent_id or ""), answers),
                *(Text(record.who), Text(record.why)),
            )
        _print(table)
    if repairs:
        table = Table("repaired (UTC)", "what", "how", "by")
        for repair in repairs:
            table.add_row(_minute(repair.repaired_at), repair.what, Text(repair.message), Text(repair.who))
        _print(table)


def print_details(details: VersionDetails) -> None:
    """Print all that is known of a version."""
    version = details.version
    _print_upright(f"{version.use_case}, model version {version.number}", _facts(details))
    for record in details.releases:
        release = record.release
        _print(
            f"release {release.release_id} ({record.kind}, {_minute(record.released_at)} UTC) "
            f"by {record.who}: {record.why}"
        )
    if details.checks:
        table = Table("rule", "kept", "figures")
        for check in details.checks:
            table.add_row(
                str(check.get("name")), "yes" if check.get("passed") else "no", Text(str(check.get("detail")))
            )
        _print(table)
    if details.metrics:
        where = f"scores from {' to '.join(details.measured_on)} UTC" if details.measured_on else "scores of its run"
        _print_upright(where, {name: _figure(value) for name, value in details.metrics.items()})
    if details.parameters:
        _print_upright("parameters", details.parameters)
    if details.fingerprints:
        _print_upright("made from", details.fingerprints)
    for note in details.notes:
        _print(f"not known: {note}")


def print_comparison(found: VersionComparison) -> None:
    """Print two versions side by side."""
    first, second = found.first, found.second
    names = [_name(details.version) for details in (first, second)]
    _print(f"{first.version.use_case}: from the first to the second is a {found.step} step")
    table = Table("", *names)
    mine, theirs = _facts(first), _facts(second)
    for key in [key for key in mine if mine[key] != theirs.get(key)]:
        table.add_row(key, mine[key], theirs.get(key, ""))
    _print(table)
    _print_scores(found, names)
    for title, pairs in (("parameters that differ", found.parameters), ("inputs that differ", found.fingerprints)):
        if pairs:
            table = Table("", *names)
            for key, (one, other) in pairs.items():
                table.add_row(key, Text(one or ""), Text(other or ""))
            _print(title)
            _print(table)
    for name, features in zip(names, (found.only_first, found.only_second), strict=True):
        if features:
            _print(f"only {name} takes: {', '.join(features)}")
    _print(_verdict(found))
    for note in (*first.notes, *second.notes):
        _print(f"not known: {note}")


def _print_scores(found: VersionComparison, names: Sequence[str]) -> None:
    windows = {details.measured_on for details in (found.first, found.second)}
    title = "scores on the same days" if len(windows) == 1 and None not in windows else "scores, each on its own days"
    table = Table("score", *names, "difference")
    mine, theirs = found.first.metrics, found.second.metrics
    for key in [*mine, *(key for key in theirs if key not in mine)]:
        one, other = mine.get(key), theirs.get(key)
        both = f"{other - one:+.4f}" if one is not None and other is not None else ""
        table.add_row(key, _figure(one), _figure(other), both)
    _print(title)
    _print(table)


def _verdict(found: VersionComparison) -> str:
    gate = found.gate
    if gate is None:
        return "the gate has never compared the two"
    verdict = (
        f"the gate {'passed' if gate['passed'] else 'refused'} version {gate['model_version']} beside release "
        f"{gate['champion_release']} ({_minute(gate['decided_at'])} UTC)"
    )
    return ": ".join([verdict, "; ".join(gate["reasons"])] if gate["reasons"] else [verdict])


def _facts(details: VersionDetails) -> dict[str, str]:
    from mlforge.registry.card import page_uri

    version, training_set = details.version, details.training_set
    gate = "" if version.passed is None else "passed" if version.passed else "refused"
    facts = {
        "semantic version": version.version or "",
        "state": version.state,
        "releases": ", ".join(str(release) for release in version.releases),
        "gate": f"{gate} at {_minute(version.decided_at)} UTC" if version.decided_at else gate,
        "card": page_uri(version.card_uri) if version.card_uri else "",
        "model": version.uri,
        "content": details.content_hash[:_HASH],
        "MLflow run": version.mlflow_run_id,
        "trained up to": version.partition_key,
    }
    if training_set is not None:
        facts["training days"] = " to ".join(details.window or ())
        facts["training rows"] = f"{training_set.rows:,}"
        facts["training set"] = training_set.content_hash[:_HASH]
        facts["as of"] = f"{training_set.as_of:%Y-%m-%d %H:%M} UTC"
    if details.features is not None:
        facts["features"] = str(len(details.features))
    return facts


def _name(version: ModelVersion) -> str:
    return f"version {version.number}" + (f" ({version.version})" if version.version else "")


def _print_upright(title: str, facts: Mapping[str, str]) -> None:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in facts.items():
        table.add_row(key, Text(value))
    # Not as the table's own title: that would be as narrow as the table.
    _print(title)
    _print(table)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _print(what: Table | str) -> None:
    # What people wrote is shown as it is, and no line is broken that a person may want to copy.
    Console().print(what, markup=False, highlight=False, soft_wrap=isinstance(what, str))
