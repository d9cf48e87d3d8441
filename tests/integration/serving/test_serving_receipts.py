"""Receipts and keys in a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from serving_parts import add_release

from mlforge.db import connect
from mlforge.errors import ServiceUnavailableError, ServingError
from mlforge.serving.key_ring import revoked_ids
from mlforge.serving.keys import demo_key, issue_key, list_keys, read_claims, revoke_key
from mlforge.serving.receipts import Receipt, ReceiptWriter, new_receipt_id
from mlforge.serving.trace import trace_receipt
from mlforge.settings import Settings
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration


def receipt(**changes: Any) -> Receipt:
    values: dict[str, Any] = {
        "receipt_id": new_receipt_id(),
        "use_case": "flight_delays",
        "release_id": 1,
        "model_version": 1,
        "moment": datetime(2013, 4, 2, tzinfo=UTC),
        "request": {"carrier": "UA"},
        "features": {"carrier": "UA", "hour": float("nan")},
        "feature_times": {"weather": None},
        "score": 0.1 + 0.2,
        "label": "late",
        "latency_ms": 1.0,
        "flags": ["missing:weather"],
    }
    return Receipt(**{**values, **changes})


def run(work: Callable[[ReceiptWriter], Awaitable[Any]], **options: Any) -> Any:
    async def inside() -> Any:
        writer = ReceiptWriter(**options)
        await writer.open()
        try:
            return await work(writer)
        finally:
            await writer.close()

    return asyncio.run(inside())


def stored() -> dict[Any, tuple[float, list[str], int]]:
    query = "SELECT receipt_id, score, flags, xmin::text::bigint FROM ledger.predictions"
    with connect() as connection:
        return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query).fetchall()}


def test_receipts_at_once_are_written_by_few_commits(database: Settings) -> None:
    receipts = [receipt() for _ in range(200)]

    async def work(writer: ReceiptWriter) -> None:
        await asyncio.gather(*(writer.write(each) for each in receipts))

    run(work)
    found = stored()
    assert set(found) == {each.receipt_id for each in receipts}
    assert {(score, tuple(flags)) for score, flags, _ in found.values()} == {(0.1 + 0.2, ("missing:weather",))}
    assert len({transaction for _, _, transaction in found.values()}) <= 3


def test_a_receipt_that_the_ledger_cannot_hold_does_not_fail_its_neighbours(database: Settings) -> None:
    good, bad = receipt(), receipt(request={"carrier": "\x00"})

    async def work(writer: ReceiptWriter) -> list[Any]:
        return await asyncio.gather(writer.write(bad), writer.write(good), return_exceptions=True)

    answers = run(work)
    assert isinstance(answers[0], ServiceUnavailableError)
    assert answers[1] is None
    assert set(stored()) == {good.receipt_id}


def test_a_lost_connection_is_opened_again(database: Settings) -> None:
    async def work(writer: ReceiptWriter) -> None:
        await writer.write(receipt())
        with connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await writer.write(receipt())

    run(work)
    assert len(stored()) == 2


def test_without_a_database_nothing_is_promised(database: Settings) -> None:
    url = "postgresql://mlforge@127.0.0.1:1/mlforge"

    async def work(writer: ReceiptWriter) -> bool:
        with pytest.raises(ServiceUnavailableError):
            await writer.write(receipt())
        return await writer.ping()

    assert run(work, url=url) is False


def test_a_receipt_leads_back_to_its_release(database: Settings, flight_delays: UseCase) -> None:
    release = add_release(flight_delays, 1)
    written = receipt(release_id=release.release_id)

    async def work(writer: ReceiptWriter) -> None:
        await writer.write(written)

    run(work)
    traced = trace_receipt(str(written.receipt_id))
    assert traced["release"]["bento"] == release.bento
    assert traced["receipt"]["features"] == {"carrier": "UA", "hour": None}
    for unknown in ("nonsense", str(new_receipt_id())):
        with pytest.raises(ServingError):
            trace_receipt(unknown)


def test_a_name_is_free_again_when_its_key_was_revoked(database: Settings) -> None:
    first = issue_key("team", ["flight_delays:predict"], 1)
    with pytest.raises(ServingError, match="already"):
        issue_key("team", ["flight_delays:predict"], 1)
    assert revoke_key("team")
    assert not revoke_key("team")
    second = issue_key("team", ["flight_delays:predict"], 1)
    assert first != second
    with connect() as connection:
        assert revoked_ids(connection) == [read_claims(first)["jti"]]
    assert [key.usable for key in list_keys()] == [True, False]
    assert not any(first in str(key) or second in str(key) for key in list_keys())


def test_the_demo_key_is_kept_until_it_is_of_no_use(database: Settings) -> None:
    first = demo_key()
    assert demo_key() == first
    assert "flight_delays:predict" in read_claims(first)["scope"]
    revoke_key("demo")
    second = demo_key()
    assert second != first
    with connect() as connection:
        connection.execute(
            "UPDATE ledger.api_keys SET expires_at = %(soon)s", {"soon": datetime.now(UTC) + timedelta(hours=1)}
        )
    assert demo_key() != second
