"""The files of a use case, from a draft: recognisable beside those that are shipped."""

from __future__ import annotations

from pathlib import PurePosixPath

from mlforge.scaffold.contract import contract_text
from mlforge.scaffold.draft import Draft
from mlforge.scaffold.python_files import dag_text, feature_repo_text, model_text
from mlforge.scaffold.sql import spine_sql, view_sql
from mlforge.scaffold.templates import fill
from mlforge.scaffold.texts import prose
from mlforge.scaffold.use_case_file import question, use_case_text


def render(draft: Draft) -> dict[PurePosixPath, str]:
    """Return the text of every file by its path below the project's root."""
    folder = PurePosixPath("include/use_cases") / draft.name
    views = {folder / f"features/{view.name}.sql": view_sql(draft, view) for view in draft.views}
    return {
        folder / "use_case.yaml": use_case_text(draft),
        folder / f"contracts/{draft.dataset}.yaml": contract_text(draft),
        **views,
        folder / "spine.sql": spine_sql(draft),
        folder / "model.py": model_text(draft),
        folder / "README.md": readme_text(draft),
        PurePosixPath(f"feature_repo/{draft.name}.py"): feature_repo_text(draft),
        PurePosixPath(f"dags/{draft.name}.py"): dag_text(draft),
    }


def readme_text(draft: Draft) -> str:
    """Return the use case's README."""
    partitions, target = draft.partitions, draft.target
    outcome = f"`{target.column.alias}`"
    if target.task == "classification":
        outcome = f"`{target.column.alias}` is {prose(str(target.positive))}"
    known = "when its partition has ended" if draft.known_after is None else f"{draft.known_after} days later"
    later = "".join(
        f"- `{prose(name)}` was left out of the request: {prose(reason)}.\n" for name, reason in draft.later.items()
    )
    short, long = draft.windows
    per = ", ".join(" and ".join(f"`{c.alias}`" for c in view.entity) or "weekday" for view in draft.views)
    return fill(
        "README.md",
        name=draft.name,
        question=question(draft),
        source=f"{prose(draft.sample.origin.label)}",
        period=partitions.period,
        time=prose(draft.time.name),
        target_line=outcome,
        moment=draft.time.alias,
        known=known,
        features=f"counts and means of the last {short} and {long} days per {per}",
        calibrated=", calibrated on the validation days" if target.task == "classification" else "",
        later=later,
        setup=_setup(draft),
        commands="\n".join(next_commands(draft)),
    )


def next_commands(draft: Draft) -> list[str]:
    """Return what a person types next: from the source to an answer behind the gateway."""
    first, last = draft.partitions.start, draft.partitions.end
    return [
        "mlforge up",
        f"mlforge features apply {draft.name}",
        f"mlforge stage publish --use-case {draft.name} --from {first} --to {last}",
        f"mlforge stage materialize --use-case {draft.name} --from {first} --to {last}",
        f"mlforge stage promote --use-case {draft.name} --partition {last}",
        f"mlforge stage roll-out --use-case {draft.name} --partition {last}",
    ]


def _setup(draft: Draft) -> str:
    connection = draft.sample.origin.source.get("connection")
    if connection is None:
        return ""
    return (
        f"The source needs the connection `{connection}`: add it in Airflow under Admin → Connections, or set"
        f" `AIRFLOW_CONN_{connection.upper()}` to its address.\n\n"
    )
