from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from mlforge.errors import SpecError
from mlforge.settings import get_settings
from mlforge.spec import load_contract

SHIPPED = sorted((get_settings().use_cases_dir / "flight_delays" / "contracts").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_contract_follows_the_standards_own_schema(path: Path) -> None:
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft201909Validator(schema).validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = next(path for path in SHIPPED if path.stem == "planes").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "planes.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return tmp_path / "planes.yaml"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("properties: [year]", "properties: [yaer]", "'year_is_there' names the unknown column 'yaer'.*'year'"),
        ("logicalType: string", "logicalType: text", "'tailnum' has the logicalType 'text'"),
        ("kind: DataContract", "kin: DataContract", "`kin`"),
        ("schema:", "schema: [", "no YAML"),
        ("  - name: planes", "  - {name: more}\n  - name: planes", "exactly one schema"),
    ],
)
def test_a_wrong_contract_is_an_error_that_names_its_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(SpecError, match=message) as raised:
        load_contract(path)
    assert str(path) in str(raised.value)


def test_types_are_exact() -> None:
    columns = {column.name: column for column in load_contract(SHIPPED[0]).columns}
    assert columns["carrier"].sql_type == "text"
    assert str(columns["dep_time"].arrow_type) == "int16"
    assert str(columns["time_hour"].arrow_type) == "timestamp[us, tz=UTC]"
    assert columns["origin"].allowed == ("EWR", "JFK", "LGA")
