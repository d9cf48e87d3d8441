"""Bad input: each is one clear error, or a value that the cast names."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlforge.errors import SourceError
from mlforge.ingest.casting import cast_column
from mlforge.ingest.formats import parse_file, table_of
from mlforge.spec.sources import FileSource

ROWS = b"at,name\n2013-01-01T00:00:00Z,a\n2013-01-02T00:00:00Z,b\n"
KINDS = {"n": pa.int16(), "at": pa.timestamp("us", tz="UTC"), "name": pa.string()}


def parse(content: bytes, file_format: str = "csv", **other: Any) -> pa.Table:
    source = FileSource.model_validate({"kind": "file", "path": "f", "format": file_format, **other})
    return parse_file(content, source, "/data/f", KINDS)


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


BROKEN_PARQUET = bytearray(parquet(pa.table({"a": [f"value {n}" for n in range(5000)]})))
BROKEN_PARQUET[200:4000] = b"\0" * 3800


@pytest.mark.parametrize(
    ("content", "file_format", "message"),
    [
        (b"", "csv", "the file is empty"),
        (b"\n \n", "csv", "the file is empty"),
        (b"", "parquet", "the file is empty"),
        (ROWS + b"2013-01-03T00", "csv", "Expected 2 columns, got 1: 2013-01-03T00"),
        (ROWS + b'2013-01-03T00:00:00Z,"half a na', "csv", "ends within a quoted value"),
        (b"at,name,at\n1,2,3\n", "csv", r"1 columns come more than once \(at\)"),
        (zipped(a=ROWS)[:-40], "csv", "not a zip file"),
        (zipped(a=ROWS, b=ROWS), "csv", r"holds 2 files instead of one \(a; b\)"),
        (b"PK" + bytes(50), "csv", "not a zip file"),
        (parquet(pa.table({"a": [1]}))[:-20], "parquet", "Parquet magic bytes not found"),
        (bytes(BROKEN_PARQUET), "parquet", "cannot be read as parquet"),
        (parquet(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])), "parquet", "more than once"),
        (b'{"n": 1}\n{"n": 2}\n{"n": ', "jsonl", r"the line 3 is no JSON object.*'\{\"n\": '"),
        (b'{"n": 1}\n[1]\n', "jsonl", "the line 2 is no JSON object"),
    ],
)
def test_a_file_that_is_broken_is_one_error(content: bytes, file_format: str, message: str) -> None:
    with pytest.raises(SourceError, match=rf"/data/f: cannot be read as {file_format}: .*{message}|/data/f: {message}"):
        parse(content, file_format)


@pytest.mark.parametrize("cut", [10, 60, 90, 120])
def test_a_zip_that_was_cut_off_anywhere_is_an_error(cut: int) -> None:
    with pytest.raises(SourceError, match="cannot be read as csv"):
        parse(zipped(a=ROWS * 50)[:cut])


def test_a_wrong_encoding_names_the_byte() -> None:
    content = "at,name\n2013-01-01,Zürich\n".encode("latin-1")
    with pytest.raises(SourceError, match=rf"the byte {content.index(0xFC)} is no utf-8.*source.encoding"):
        parse(content)
    assert parse(content, encoding="latin-1")["name"].to_pylist() == ["Zürich"]
    assert parse("\ufeffat,name\n1,a\n".encode()).column_names == ["at", "name"]
    assert parse("at,name\n1,ä\n".encode("utf-16"), encoding="utf-16")["name"].to_pylist() == ["ä"]


def test_quoted_values_may_hold_lines_commas_and_quotes() -> None:
    assert parse(b'at,name\n1,"a\nb, ""c"""\n')["name"].to_pylist() == ['a\nb, "c"']


def test_json_lines_are_in_the_contracts_types_and_nothing_is_guessed() -> None:
    rows = b'{"n": 1, "at": "2013-01-01", "name": "2013-01-01T00:00:00"}\n\n{"n": null, "sky": {"high": true}}\n'
    table = parse(rows, "jsonl")
    assert table["n"].to_pylist() == [1, None]
    assert table["name"].to_pylist() == ["2013-01-01T00:00:00", None]
    assert table["sky"].to_pylist() == [None, {"high": True}]


def test_a_type_that_drifts_is_named_with_the_value() -> None:
    table = parse(b'{"n": 1}\n{"n": "one"}\n{"n": 2}\n', "jsonl")
    with pytest.raises(SourceError, match=r"1 distinct values of the column 'n' are no int16.*'one'"):
        cast_column(table["n"], pa.int16(), "n", "f")


def test_a_number_where_text_is_due_is_that_text() -> None:
    assert parse(b'{"name": "a"}\n{"name": 5}\n', "jsonl")["name"].to_pylist() == ["a", "5"]


def test_records_have_the_columns_of_all_of_them() -> None:
    table = table_of([{"a": 1}, {"b": "x"}, {"a": 2.5}])
    assert table.to_pydict() == {"a": [1, None, 2.5], "b": [None, "x", None]}
    assert table_of([{"a": 1}, {"a": "x"}, {"a": True}])["a"].to_pylist() == ["1", "x", "true"]


@pytest.mark.parametrize("content", [b"at,n\n1,\n2,NA\n", b"at,n\n1,\n"])
def test_a_column_without_any_value_lands(content: bytes) -> None:
    table = parse(content)
    assert cast_column(table["n"], pa.int16(), "n", "f").null_count == len(table)
    nothing = parse(b'{"n": null}\n', "jsonl")
    assert cast_column(nothing["n"], KINDS["at"], "n", "f").to_pylist() == [None]
    assert json.dumps(nothing["n"].to_pylist()) == "[null]"
