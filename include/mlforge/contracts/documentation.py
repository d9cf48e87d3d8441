"""Contracts as pages for people: columns, rules in words, the policy, who uses which column, newest results."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mlforge import db
from mlforge.contracts import results
from mlforge.contracts.impact import Impact, impact_of_all
from mlforge.contracts.page import contract_page, history_strip
from mlforge.contracts.policy import Counts
from mlforge.contracts.rules import Rule
from mlforge.contracts.translate import translate
from mlforge.errors import MLForgeError
from mlforge.pages import Raw, table
from mlforge.spec import Column, Contract, Dataset, UseCase

_LAST = "9999-12-31"
_ROWS = {
    "fail": "No row may break a rule; one that does fails its partition.",
    "quarantine": "Rows that break a rule are set aside, up to {share} of a partition; more fail it.",
    "warn": "Rows that break a rule are published and told of. Those that no table can hold (no value where one is"
    " required, a key that comes twice) are set aside, up to {share} of a partition; more fail it.",
}
_EXTRA = {
    "ignore": "A column that the contract does not name is left out.",
    "warn": "A column that the contract does not name is left out and told of.",
    "fail": "A column that the contract does not name fails the check.",
}


def contract_pages(use_case: UseCase) -> dict[str, str]:
    """Return a page for each dataset's contract, and `index.html`, by file name."""
    pages = {f"{dataset}.html": _contract_page(use_case, dataset) for dataset in use_case.datasets}
    rows = [
        (
            Raw(f'<a href="{escape(name)}.html">{escape(name)}</a>'),
            use_case.contract(name).version,
            len(use_case.contract(name).columns),
            len(translate(use_case.contract(name))),
            use_case.contract(name).description,
        )
        for name in use_case.datasets
    ]
    parts = [
        f"<h1>Contracts of {escape(use_case.title)}</h1>",
        f"<p>{escape(use_case.name)}, owned by {escape(use_case.owner)}</p>",
        table(["dataset", "version", "columns", "rules", "about"], rows),
    ]
    return {"index.html": contract_page(f"Contracts of {use_case.name}", parts), **pages}


def _contract_page(use_case: UseCase, dataset: str) -> str:
    contract, declared = use_case.contract(dataset), use_case.dataset(dataset)
    rules = translate(contract)
    uses = impact_of_all(use_case, dataset, contract.column_names)
    about = f"<p>{escape(contract.description)}</p>" if contract.description else ""
    parts = [
        '<p class="small"><a href="index.html">all contracts</a></p>',
        f"<h1>{escape(use_case.name)}.{escape(dataset)}</h1>",
        f"<p>contract {escape(contract.version)} · key {escape(', '.join(contract.key) or 'none')}</p>",
        f"{about}<h2>What becomes of what breaks it</h2>{_policy(declared)}",
        f"<h2>Newest results</h2>{_newest(use_case, dataset)}",
        f"<h2>Columns</h2>{_columns(contract, rules, uses)}<h2>Rules</h2>{_rules(contract, rules)}",
    ]
    return contract_page(f"Contract of {use_case.name}.{dataset}", parts)


def _policy(dataset: Dataset) -> str:
    policy = dataset.policy
    share = f"{policy.quarantine_up_to:.1%}" if policy.quarantine_up_to else "no row"
    whole = (
        "A partition that breaks a rule as a whole is told of."
        if policy.broken_rows == "warn"
        else "A partition that breaks a rule as a whole fails."
    )
    return f"<p>{_ROWS[policy.broken_rows].format(share=share)} {whole} {_EXTRA[policy.extra_columns]}</p>"


def _newest(use_case: UseCase, dataset: str) -> str:
    try:
        with db.connect() as connection:
            partitions: Mapping[str, tuple[str, Counts]] = results.history(connection, use_case.name, dataset, _LAST)
            if not partitions:
                partitions = results.history(connection, use_case.name, dataset, "static")
    except MLForgeError:
        return '<p class="soft">No database answered when this page was made.</p>'
    if not partitions:
        return '<p class="soft">Nothing has been checked yet.</p>'
    return history_strip(partitions)


def _columns(contract: Contract, rules: list[Rule], uses: Mapping[str, Impact]) -> str:
    rows = [
        (
            _code(column.name),
            Raw(f"{escape(column.logical_type)}<div class='soft small'>{escape(column.sql_type)}</div>"),
            column.description,
            Raw(_demands(column, contract, rules)),
            Raw(_uses(uses[column.name])),
        )
        for column in contract.columns
    ]
    return table(["column", "type", "what it is", "must", "read by"], rows)


def _demands(column: Column, contract: Contract, rules: list[Rule]) -> str:
    lines = ["be there"] if column.required or column.name in contract.key else []
    lines += ["be unique"] if column.unique else []
    if column.name in contract.key:
        lines.append(f"be part {contract.key.index(column.name) + 1} of the key")
    if column.allowed:
        lines.append(f"be one of {', '.join(map(str, column.allowed))}")
    lines += [_option(name, value) for name, value in column.options.items() if name not in {"timezone"}]
    lines += [f"keep {rule.name}" for rule in rules if column.quality and rule.name in _names(column)]
    return "<br>".join(map(escape, lines))


def _names(column: Column) -> set[str]:
    return {str(rule.get("name")) for rule in column.quality}


def _option(name: str, value: Any) -> str:
    said = {
        "minimum": "be at least", "maximum": "be at most", "exclusiveMinimum": "be above", "exclusiveMaximum":
        "be below", "minLength": "have at least so many characters:", "maxLength":
        "have at most so many characters:", "pattern": "match", "multipleOf": "be a multiple of", "format": "be a",
    }  # fmt: skip
    return f"{said.get(name, name)} {value}"


def _uses(impact: Impact) -> str:
    parts = [f"view {escape(view)}" for view in impact.views]
    parts += [f"the dataset's {escape(time)}" for time in impact.times]
    parts += ["<b>the label</b>"] if impact.label else []
    if impact.inputs:
        named = "<br>".join(f"<code>{escape(name)}</code>" for name in impact.inputs)
        parts.append(f"<details><summary>{len(impact.inputs)} inputs of the model</summary>{named}</details>")
    if impact.unknown:
        parts.append(f"unknown: {escape(impact.unknown)}")
    return "<br>".join(parts) or '<span class="soft">nobody</span>'


def _rules(contract: Contract, rules: list[Rule]) -> str:
    rows: list[tuple[str, ...]] = [
        (_code(rule.name), rule.severity, Raw(_in_words(rule)))
        for rule in rules
        if rule.name not in {"event_timestamp.required", "known_at.required"}
    ]
    texts = [rule for rule in contract.quality if rule.get("type") == "text"]
    rows += [
        (
            _code(str(rule.get("name", "text"))),
            "for people",
            str(rule.get("description", "")),
        )
        for rule in texts
    ]
    return table(["rule", "severity", "in words"], rows)


def _code(name: str) -> Raw:
    return Raw(f"<code>{escape(name)}</code>")


def _in_words(rule: Rule) -> str:
    said = f"{escape(rule.description)}<br>" if rule.description else ""
    if rule.unique:
        return f"{said}No two rows of a partition share {escape(', '.join(rule.unique))}."
    if rule.broken is not None:
        return f"{said}No row with <code>{escape(rule.broken)}</code>"
    what = rule.aggregate or rule.query or f"{rule.custom} {rule.arguments}"
    bound = "" if rule.custom else f" must be {escape(rule.bound.text)}"
    return f"{said}In each partition, <code>{escape(what)}</code>{bound}"
