"""What is inferred from small sources, and what is said about those that cannot give a use case."""

from __future__ import annotations

import ast
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.errors import MLForgeError, SpecError
from mlforge.scaffold import Draft, Wishes, findings, make_draft, read_file, render, warnings
from mlforge.spec.loading import read_use_case

TODAY = dt.date(2026, 6, 1)
Orders = Callable[..., Path]


def orders(days: int = 40, per_day: int = 15, *, seed: int = 1) -> pd.DataFrame:
    """Orders of some customers; whether one is sent back depends on the price and the customer."""
    random = np.random.default_rng(seed)
    rows = days * per_day
    start = pd.Timestamp("2026-01-05T00:00:00Z")
    at = start + pd.to_timedelta(np.repeat(np.arange(days), per_day), "D")
    at = at + pd.to_timedelta(np.tile(np.arange(per_day) * (1440 // per_day), days), "min")
    customer = random.integers(1, 60, rows)
    price = np.round(random.gamma(2, 20, rows), 2)
    returned = random.random(rows) < 1 / (1 + np.exp(-(price - 60) / 20 - (customer % 5 - 2)))
    return pd.DataFrame(
        {
            "order_id": [f"O{number:06}" for number in range(rows)],
            "ordered_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "customer_id": customer,
            "country": random.choice(["AT", "DE", "CH"], rows),
            "price": price,
            "gift": random.choice(["true", "false"], rows),
            "note": [f"text {number} of somebody" for number in random.permutation(rows)],
            "returned": np.where(returned, "yes", "no"),
        }
    )


def drafted(path: Path, name: str = "returns", **wishes: Any) -> Draft:
    given = {"target": "returned", **wishes}
    return make_draft(name, read_file(str(path)), Wishes(**given), today=TODAY)


def saved(frame: pd.DataFrame, folder: Path, name: str = "orders.csv") -> Path:
    path = folder / name
    frame.to_csv(path, index=False)
    return path


def written(draft: Draft, root: Path) -> Path:
    """Write the files below a folder and return the use case's."""
    for path, text in render(draft).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root / "include/use_cases" / draft.name


class TestInference:
    @pytest.fixture
    def draft(self, tmp_path: Path) -> Draft:
        return drafted(saved(orders(), tmp_path))

    def test_types(self, draft: Draft) -> None:
        assert {name: column.kind for name, column in draft.columns.items()} == {
            "order_id": "string", "ordered_at": "timestamp", "customer_id": "integer", "country": "string",
            "price": "number", "gift": "boolean", "note": "string", "returned": "string",
        }  # fmt: skip

    def test_time_key_entity_and_target(self, draft: Draft) -> None:
        assert draft.time.name == "ordered_at"
        assert [column.name for column in draft.key] == ["order_id"]
        assert [[column.name for column in view.entity] for view in draft.views] == [["customer_id"], ["country"]]
        assert (draft.target.task, draft.target.positive, draft.target.labels) == (
            "classification",
            "yes",
            ("no", "yes"),
        )

    def test_partitions_and_windows(self, draft: Draft) -> None:
        assert (draft.partitions.period, draft.partitions.start, draft.partitions.end) == (
            "day", dt.date(2026, 1, 5), dt.date(2026, 2, 13),
        )  # fmt: skip
        assert not draft.open_ended
        windows = draft.training
        assert windows.window_days == 40
        assert windows.validation_days + windows.test_days < 20
        assert 10 <= windows.minimum_rows <= 600

    def test_a_source_that_goes_on_has_no_end(self, tmp_path: Path) -> None:
        sample = read_file(str(saved(orders(), tmp_path)))
        draft = make_draft("returns", sample, Wishes(target="returned"), today=dt.date(2026, 2, 14))
        assert draft.open_ended
        assert "end:" not in render(draft)[_use_case("returns")].split("datasets:")[0]

    def test_free_text_is_not_asked_and_keys_are_no_features(self, draft: Draft) -> None:
        assert "too many to be categories" in draft.left_out["note"]
        assert [column.name for column in draft.asked] == [
            "order_id", "ordered_at", "customer_id", "country", "price", "gift",
        ]  # fmt: skip
        assert draft.features == {"country", "price", "gift"}

    def test_wishes_win(self, tmp_path: Path) -> None:
        draft = drafted(
            saved(orders(), tmp_path),
            key=["ordered_at"],
            entities=["country+customer_id"],
            after=["gift"],
            period="week",
            dataset="sales",
            positive="no",
            known_after=5,
            owner="ann",
        )
        assert [column.name for column in draft.key] == ["ordered_at"]
        assert [[column.name for column in view.entity] for view in draft.views] == [["country", "customer_id"]]
        assert draft.later["gift"] == "you said so"
        assert (draft.partitions.period, draft.dataset, draft.target.positive) == ("week", "sales", "no")
        text = render(draft)[_use_case("returns")]
        assert "(ordered_at) + interval '5 days'" in text
        assert "lookback_days: 96" in text

    def test_a_regression(self, tmp_path: Path) -> None:
        draft = drafted(saved(orders(), tmp_path), target="price")
        assert draft.target.task == "regression"
        assert "XGBRegressor" in render(draft)[_use_case("returns", "model.py")]

    def test_a_column_that_tells_the_target_is_suspected(self, tmp_path: Path) -> None:
        frame = orders()
        frame["refund"] = np.where(frame["returned"] == "yes", frame["price"], np.nan)
        frame["refunded_at"] = np.where(
            frame["returned"] == "yes", frame["ordered_at"].str.replace("2026", "2027"), None
        )
        draft = drafted(saved(frame, tmp_path))
        assert "it alone tells" in draft.later["refund"]
        assert "later than ordered_at" in draft.later["refunded_at"]
        assert any("'refund' may leak the target" in text for text in warnings(draft))
        assert not {"refund", "refunded_at"} & {column.name for column in draft.asked}

    def test_a_column_that_tells_much_is_asked_about(self, tmp_path: Path) -> None:
        frame = orders()
        random = np.random.default_rng(3)
        frame["mood"] = np.where(random.random(len(frame)) < 0.15, "good", frame["returned"])
        draft = drafted(saved(frame, tmp_path))
        assert "mood" in {column.name for column in draft.asked}
        assert any("Is it known at the moment? If not, say --after 'mood'" in text for text in warnings(draft))

    def test_the_history_is_of_the_target_and_of_what_tells_most_of_it(self, tmp_path: Path) -> None:
        frame = orders()
        random = np.random.default_rng(4)
        for number in range(6):
            frame.insert(3, f"noise_{number}", random.random(len(frame)).round(3))
        names = [column.name for column in drafted(saved(frame, tmp_path)).history]
        assert names[0] == "returned"
        assert "price" in names
        assert len(names) == 5

    def test_what_comes_on_one_day_only_is_no_entity(self, tmp_path: Path) -> None:
        frame = orders().assign(basket_id=lambda rows: np.arange(len(rows)) // 5)
        draft = drafted(saved(frame, tmp_path))
        assert [[column.name for column in view.entity] for view in draft.views] == [["customer_id"], ["country"]]

    def test_whole_numbers_with_gaps_are_numbers_to_a_caller_and_no_entities(self, tmp_path: Path) -> None:
        frame = orders().astype({"customer_id": object})
        frame.loc[::7, "customer_id"] = None
        path = saved(frame, tmp_path)
        draft = drafted(path)
        assert "customer_id" not in {column.name for view in draft.views for column in view.entity}
        text = yaml.safe_load(render(draft)[_use_case("returns")])
        assert text["prediction"]["request"]["customer_id"]["type"] == "number"
        with pytest.raises(SpecError, match="whole numbers are missing"):
            drafted(path, entities=["customer_id"])

    def test_without_an_entity_there_are_features_per_weekday(self, tmp_path: Path) -> None:
        frame = orders()[["order_id", "ordered_at", "price", "returned"]]
        draft = drafted(saved(frame, tmp_path))
        assert [view.entity for view in draft.views] == [()]
        assert "GROUP BY moment_weekday" in render(draft)[_use_case("returns", "features/returns_by_weekday.sql")]

    def test_views_of_other_use_cases_are_not_taken(self, tmp_path: Path) -> None:
        draft = drafted(saved(orders(), tmp_path), taken_views=["returns_by_country"])
        assert [view.name for view in draft.views] == ["returns_by_customer_id", "returns_by_country_2"]

    def test_codes_with_leading_zeros_stay_text(self, tmp_path: Path) -> None:
        frame = orders().assign(zip=lambda rows: [f"0{number % 90}" for number in range(len(rows))])
        assert drafted(saved(frame, tmp_path)).columns["zip"].kind == "string"

    def test_exact_copies_are_counted_and_do_not_spoil_the_key(self, tmp_path: Path) -> None:
        frame = orders()
        draft = drafted(saved(pd.concat([frame, frame.head(7)]), tmp_path))
        assert draft.sample.copies == 7
        assert [column.name for column in draft.key] == ["order_id"]
        assert any(text.startswith("7 rows are exact copies") for text in warnings(draft))

    def test_a_composite_key_is_found(self, tmp_path: Path) -> None:
        frame = orders(per_day=20)
        frame["customer_id"] = np.tile(np.arange(20), 40)
        frame["day"] = frame["ordered_at"].str[:10]
        draft = drafted(saved(frame.drop(columns=["order_id", "ordered_at", "note"]), tmp_path))
        assert [column.name for column in draft.key] == ["customer_id", "day"]
        assert draft.time.kind == "date"

    def test_every_finding_has_a_reason(self, draft: Draft) -> None:
        found = list(findings(draft))
        assert all(finding.why for finding in found)
        assert {"target", "time", "key", "features", "schedule"} <= {finding.what for finding in found}


class TestPartitions:
    def test_sparse_days_become_weeks_and_the_last_half_week_waits(self, tmp_path: Path) -> None:
        draft = drafted(saved(orders(days=90, per_day=3), tmp_path))
        assert draft.partitions.period == "week"
        assert draft.partitions.start == dt.date(2026, 1, 5)
        assert draft.partitions.end == dt.date(2026, 3, 23)
        assert "period: week" in render(draft)[_use_case("returns")]
        assert 'cron: "0 0 * * 1"' in render(draft)[_use_case("returns")]

    def test_a_gap_is_told_and_the_longest_stretch_taken(self, tmp_path: Path) -> None:
        frame = orders(days=60)
        day = frame["ordered_at"].str[:10]
        frame = frame[(day < "2026-01-20") | (day > "2026-01-31")]
        draft = drafted(saved(frame, tmp_path), period="day")
        assert (draft.partitions.start, draft.partitions.end) == (dt.date(2026, 2, 1), dt.date(2026, 3, 5))
        assert any("225 rows lie outside" in text for text in warnings(draft))

    def test_local_times_are_told_by_the_source(self, tmp_path: Path) -> None:
        frame = orders().assign(ordered_at=lambda rows: rows["ordered_at"].str.rstrip("Z"))
        path = saved(frame, tmp_path)
        assert any("have no zone" in text for text in warnings(drafted(path)))
        draft = drafted(path, timezone="America/New_York")
        assert draft.partitions.start == dt.date(2026, 1, 5)
        assert draft.partitions.end == dt.date(2026, 2, 14)
        assert "timezone: America/New_York" in render(draft)[_use_case("returns")]


def _use_case(name: str, file: str = "use_case.yaml") -> Any:
    from pathlib import PurePosixPath

    return PurePosixPath(f"include/use_cases/{name}/{file}")


class TestSources:
    def test_the_same_rows_give_the_same_use_case_whatever_the_format(self, tmp_path: Path) -> None:
        frame = orders()
        typed = frame.assign(ordered_at=pd.to_datetime(frame["ordered_at"]), gift=frame["gift"] == "true")
        csv = saved(frame, tmp_path)
        with zipfile.ZipFile(tmp_path / "orders.csv.zip", "w") as archive:
            archive.write(csv, "orders.csv")
        typed.to_parquet(tmp_path / "orders.parquet")
        lines = [json.dumps(row) for row in frame.assign(gift=typed["gift"]).to_dict("records")]
        (tmp_path / "orders.jsonl").write_text("\n".join(lines))
        texts = []
        for name, kind in (("csv", "csv"), ("csv.zip", "csv"), ("parquet", "parquet"), ("jsonl", "jsonl")):
            draft = drafted(tmp_path / f"orders.{name}")
            text = render(draft)[_use_case("returns")]
            assert f"format: {kind}" in text
            texts.append(text.replace(f"format: {kind}", "").replace(str(tmp_path / f"orders.{name}"), ""))
        assert len(set(texts)) == 1

    def test_of_a_long_file_the_first_rows_are_read_and_it_is_told(self, tmp_path: Path) -> None:
        sample = read_file(str(saved(orders(), tmp_path)), rows=300)
        assert (len(sample.table), sample.whole) == (300, False)
        draft = make_draft("returns", sample, Wishes(target="returned"), today=TODAY)
        assert draft.open_ended
        assert any("only the first 300" in text for text in warnings(draft))
        contract = render(draft)[_use_case("returns", "contracts/orders.yaml")]
        assert "enum" not in contract

    def test_nested_columns_are_left_out(self, tmp_path: Path) -> None:
        frame = orders().assign(tags=[["a"]] * len(orders()))
        frame.to_parquet(tmp_path / "orders.parquet")
        draft = drafted(tmp_path / "orders.parquet")
        assert "list" in draft.left_out["tags"]
        assert "tags" not in draft.columns


BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "header": (b"a,b\n", "no rows below the header"),
    "binary": (bytes(range(256)) * 9, "the file is no text"),
    "one_column": (b"a\n1\n2\n", "one column, or is no CSV"),
    "semicolons": (b"a;b\n1;2\n", "separated by semicolons"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "cannot be read"),
    "latin": ("a,b\nü,1\n".encode("latin-1"), "cannot be read"),
    "no_header": (b"2026-01-01,5\n2026-01-02,6\n", "no header"),
    "no_time": (b"a,returned\n1,yes\n2,no\n", "it has no time"),
    "us_dates": (b"date,returned\n01/31/2026,yes\n02/01/2026,no\n", "no column is a time in every row"),
    "gaps_in_time": (b"date,returned\n2026-01-01,yes\n,no\n", "no column is a time in every row"),
    "short": (b"date,returned\n2026-01-01,yes\n2026-01-02,no\n", "at least 8 days are needed"),
    "constant": (b"date,returned\n2026-01-01,yes\n2026-01-02,yes\n", "constant: 'yes'"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_with_the_next_step(name: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    with pytest.raises(MLForgeError, match=message) as raised:
        drafted(path)
    assert raised.value.hint


def test_bad_archives_and_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(MLForgeError, match="there is no such file"):
        read_file(str(tmp_path / "none.csv"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", "a,b\n")
        archive.writestr("b.csv", "a,b\n")
    (tmp_path / "two.zip").write_bytes(content.getvalue())
    with pytest.raises(MLForgeError, match="holds 2 files"):
        read_file(str(tmp_path / "two.zip"))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(MLForgeError, match="cannot be read"):
        read_file(str(tmp_path / "cut.parquet"))


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"target": None}, r"which column shall be predicted\? .*returned: string, 2 values"),
        ({"target": "retuned"}, "did you mean 'returned'"),
        ({"target": "country"}, "neither two nor numbers"),
        ({"target": "price", "task": "classification"}, "a classification has two"),
        ({"positive": "maybe"}, "has no value 'maybe'"),
        ({"time": "price"}, "is no time but a number"),
        ({"key": ["customer_id"]}, "is the same in rows that differ"),
        ({"entities": ["price"]}, "cannot be an entity"),
        ({"timezone": "Europe/Wien"}, "no time zone 'Europe/Wien'"),
        ({"dataset": "My Orders"}, "take 'my_orders'"),
    ],
)
def test_a_wish_that_cannot_be_is_told_with_the_next_step(wishes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        drafted(saved(orders(), tmp_path), **wishes)
    assert raised.value.hint


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda name: (
        name.strip()
        and name.isprintable()
        and not name.startswith((".", "["))
        and "%" not in name
        and name not in {"event_timestamp", "known_at", "partition_key"}
    )
)


@settings(max_examples=8)
@given(names=st.lists(NAMES, min_size=8, max_size=8, unique=True))
def test_any_names_of_columns_give_files_that_load(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    frame = orders(days=12, per_day=13).set_axis(names, axis=1)
    frame.to_parquet(root / "orders.parquet")
    draft = drafted(root / "orders.parquet", target=names[7], time=names[1])
    folder = written(draft, root)
    use_case = read_use_case(folder)
    assert use_case.contract("orders").column_names == names
    for path in render(draft):
        if path.suffix == ".py":
            ast.parse((root / path).read_text())
    assert yaml.safe_load((folder / "use_case.yaml").read_text())["datasets"]["orders"]["source"]["kind"] == "file"
