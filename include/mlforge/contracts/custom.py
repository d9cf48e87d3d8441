"""`type: custom` with Great Expectations' engine: an expectation by its name, on each partition by itself."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from mlforge.contracts.judge import library
from mlforge.contracts.rules import Finding, Rule
from mlforge.errors import SpecError
from mlforge.settings import get_settings

# A contract only ever asks; times are written alike everywhere.
_OPTIONS = "?options=-c%20timezone%3DUTC%20-c%20search_path%3Dstaging%20-c%20default_transaction_read_only%3Don"


def require_expectations(rules: Sequence[Rule]) -> None:
    """Check that the custom rules name expectations that there are, with arguments that these take.

    Raises:
        SpecError: One does not.
    """
    for rule in rules:
        if rule.custom:
            _expectation(rule)


def judge_custom(rules: Sequence[Rule], table: str, keys: Sequence[str]) -> list[Finding]:
    """Return what custom rules show in each partition of a committed staging table.

    Raises:
        SpecError: One cannot be computed.
    """
    if not rules:
        return []
    with _partitions(table) as batch_of:
        found = [finding for key in sorted(keys) for finding in _run(batch_of(key), rules, key)]
    return sorted(found, key=lambda finding: rules.index(finding.rule))


@contextmanager
def _partitions(table: str) -> Iterator[Any]:
    _, context = library()
    name = f"staging_{secrets.token_hex(6)}"
    url = get_settings().postgres_url(driver="psycopg") + _OPTIONS
    source = context.data_sources.add_postgres(name, connection_string=url, create_temp_table=False)
    staged = sql.Identifier("staging", table).as_string(None)

    def batch_of(key: str) -> Any:
        query = f"SELECT * FROM {staged} WHERE partition_key = {sql.Literal(key).as_string(None)}"  # noqa: S608
        asset = source.add_query_asset(f"{table}_{key}", query=query)
        return asset.add_batch_definition_whole_table("whole").get_batch()

    try:
        yield batch_of
    finally:
        source.get_engine().dispose()
        context.data_sources.delete(name)


def _run(batch: Any, rules: Sequence[Rule], key: str) -> Iterator[Finding]:
    gx, _ = library()
    suite = gx.ExpectationSuite(name=secrets.token_hex(6))
    for place, rule in enumerate(rules):
        expectation = _expectation(rule)
        expectation.meta = {"place": place}
        suite.expectations.append(expectation)
    for result in batch.validate(suite, result_format="BASIC").results:
        rule = rules[result.expectation_config.meta["place"]]
        info = result.exception_info or {}
        errors = [info] if "raised_exception" in info else list(info.values())
        raised = [error for error in errors if error.get("raised_exception")]
        if raised:
            message = str(raised[0].get("exception_message")).splitlines()[0]
            raise SpecError(f"the rule {rule.name!r} cannot be computed: {message}", hint="correct the contract")
        details = result.result or {}
        figure = details.get("observed_value", details.get("unexpected_count"))
        observed = float(figure) if isinstance(figure, int | float) else None
        yield Finding(rule, key, bool(result.success), observed)


def _expectation(rule: Rule) -> Any:
    from pydantic import ValidationError as ValidationError2
    from pydantic.v1 import ValidationError as ValidationError1

    gx, _ = library()
    known = [name for name in dir(gx.expectations) if name.startswith("Expect") or name.startswith("Unexpected")]
    if rule.custom not in known:
        near = difflib.get_close_matches(str(rule.custom), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see Great Expectations' gallery"
        raise SpecError(f"the rule {rule.name!r} names the expectation {rule.custom!r}, which there is not", hint=hint)
    try:
        return getattr(gx.expectations, str(rule.custom))(**rule.arguments)
    except (ValidationError1, ValidationError2, TypeError) as error:
        message = " ".join(str(error).split())
        raise SpecError(
            f"the rule {rule.name!r} gives {rule.custom} wrong arguments: {message}", hint="correct its kwargs"
        ) from error
