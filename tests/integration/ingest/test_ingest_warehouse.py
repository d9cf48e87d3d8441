"""What a newer contract does to the table that is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from flight_sources import ask
from mlforge import db
from mlforge.errors import SpecError
from mlforge.ingest.warehouse import add_indexes, ensure_table, published_columns
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.contract import Column, Contract

pytestmark = pytest.mark.integration
GATE = Column("gate", "string", "text", required=False, unique=False, key_position=None, description="")


def ensure(use_case: UseCase, change: Callable[[Contract], tuple[Column, ...]] | None = None) -> bool:
    """Bring the table to what the contract says, with other columns."""
    changed = use_case.model_copy()
    contract = use_case.contract("weather")
    columns = change(contract) if change else contract.columns
    changed._contracts = {**use_case._contracts, "weather": dataclasses.replace(contract, columns=columns)}
    with db.connect() as connection:
        return ensure_table(connection, changed, "weather")


def columns() -> dict[str, str]:
    return dict(
        ask(
            "SELECT column_name, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'warehouse' AND table_name = 'flight_delays__weather'"
        )
    )


@pytest.fixture
def table(database: Settings, flight_delays: UseCase) -> UseCase:
    assert ensure(flight_delays) is True
    return flight_delays


def test_a_table_that_is_there_is_not_new(table: UseCase) -> None:
    assert ensure(table) is False
    assert set(columns()) == set(published_columns(table, "weather"))


def test_an_optional_column_is_added_and_stays(table: UseCase) -> None:
    assert ensure(table, lambda contract: (*contract.columns, GATE)) is False
    assert columns()["gate"] == "YES"
    assert ensure(table, lambda contract: (*contract.columns, GATE)) is False


def test_a_required_column_is_refused_with_the_next_step(table: UseCase) -> None:
    required = dataclasses.replace(GATE, required=True)
    with pytest.raises(SpecError, match=r"differ in gate .*is new and required.*make the new column optional"):
        ensure(table, lambda contract: (*contract.columns, required))
    assert "gate" not in columns()


def test_a_column_that_is_gone_or_of_another_type_is_refused_with_the_next_step(table: UseCase) -> None:
    with pytest.raises(SpecError, match=r"differ in pressure .*drop it from the table"):
        ensure(table, lambda contract: tuple(each for each in contract.columns if each.name != "pressure"))

    def retyped(contract: Contract) -> tuple[Column, ...]:
        return tuple(
            dataclasses.replace(each, sql_type="text") if each.name == "visib" else each for each in contract.columns
        )

    with pytest.raises(SpecError, match=r"visib is double precision in the table, text in the contract.*new name"):
        ensure(table, retyped)


def test_the_database_itself_refuses_a_key_twice(table: UseCase) -> None:
    with db.connect() as connection:
        add_indexes(connection, table, "weather")
    definitions = [
        text for (text,) in ask("SELECT indexdef FROM pg_indexes WHERE tablename = 'flight_delays__weather'")
    ]
    (unique,) = [text for text in definitions if "UNIQUE" in text]
    # The time comes first: it orders the rows as they come, and is quick to compare.
    assert unique.endswith("(time_hour, origin, partition_key)")
