from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from flight_examples import make_training_set
from flight_sources import ask, real_rows
from mlforge import db
from mlforge.cli.main import build_app
from mlforge.errors import DataVersionError
from mlforge.refs import TrainingSet
from mlforge.spec import UseCase
from mlforge.versions import Created, DataRepository, create_version
from mlforge.versions.lineage import find_record, list_versions, trace_version

pytestmark = pytest.mark.integration

_TRAINING_SET = """
INSERT INTO ledger.training_sets (use_case, partition_key, as_of, rows, uri, content_hash, feature_service,
    publications, code_version, run_id)
VALUES (%(use_case)s, %(partition_key)s, %(as_of)s, %(rows)s, %(uri)s, %(content_hash)s, %(feature_service)s,
    %(publications)s, 'c', 'flight_delays.training/one')
"""
_DECISION = """
INSERT INTO ledger.gate_decisions (use_case, partition_key, model_name, model_version, passed, reasons, evidence,
    card_uri)
VALUES ('flight_delays', '2013-04-02', 'flight_delays', %(version)s, %(passed)s, '[]', %(evidence)s, '')
"""
_RELEASE = """
INSERT INTO ledger.releases (use_case, sequence, kind, partition_key, model_name, model_version, model_uri,
    mlflow_run_id, content_hash, bento, feature_service, training_set, evidence, traffic_plan, code_version, who, why)
VALUES ('flight_delays', 1, 'promote', '2013-04-02', 'flight_delays', 7, 'models:/m-7', 'run-7', 'h', 'b',
    'flight_delays', %(training_set)s, '{}', '{}', 'c', 'ann', 'better') RETURNING release_id
"""
_PREDICTION = """
INSERT INTO ledger.predictions (receipt_id, use_case, release_id, model_version, moment, request, features,
    feature_times, score, label, latency_ms)
SELECT gen_random_uuid(), 'flight_delays', %(release)s, 7, now(), '{}', '{}', '{}', 0.5, 'late', 1
FROM generate_series(1, 3)
"""


def used(use_case: UseCase) -> TrainingSet:
    """Note a training set as of the end of 2 April, two models of it, one of them released and asked three times."""
    key = list(use_case.prediction.key)
    frame = real_rows().rename(columns={"time_hour": key[-1]})[[*key, "arr_delay"]].head(100)
    plain = make_training_set(use_case, last="2013-04-02", frame=frame)
    newest = ask("SELECT max(publication_id) FROM ledger.publications WHERE dataset = 'flights'")[0][0]
    training_set = plain.model_copy(update={"publications": {"flights": newest}})
    row = training_set.model_dump()
    with db.connect() as connection:
        connection.execute(_TRAINING_SET, {**row, "publications": Jsonb(row["publications"])})
        for version, passed in ((7, True), (8, False)):
            candidate = {"run_id": f"run-{version}", "training_set": training_set.dump()}
            evidence = Jsonb({"candidate": candidate})
            connection.execute(_DECISION, {"version": version, "passed": passed, "evidence": evidence})
        release = connection.execute(_RELEASE, {"training_set": Jsonb(training_set.dump())}).fetchone()
        assert release is not None
        connection.execute(
            "INSERT INTO ledger.deployments (use_case, release_id, state) VALUES ('flight_delays', %s, 'live')", release
        )
        connection.execute(_PREDICTION, {"release": release[0]})
    return training_set


def test_a_version_is_traced_to_its_sources_and_to_predictions(
    repository: DataRepository, flight_delays: UseCase, make: Callable[..., Created]
) -> None:
    training_set = used(flight_delays)
    traced = trace_version(flight_delays, find_record("flight_delays/flights"))
    publications = traced["made_from"]["publications"]
    assert [row["partition_key"] for row in publications] == ["2013-04-01", "2013-04-02", "2013-04-03"]
    assert all(row["raw_uri"].endswith(".parquet") and row["rules_passed"] > 20 for row in publications)
    assert traced["made_from"]["sources"]["flights"]["partition_column"] == "time_hour"
    (by,) = traced["used_by"]
    # 3 April lies after the instant of the training set.
    assert (by["content_hash"], by["partitions"]) == (training_set.content_hash, 2)
    models = {model["version"]: model for model in by["models"]}
    assert models[8]["gate"]["passed"] is False
    assert models[8]["releases"] == []
    (release,) = models[7]["releases"]
    assert (release["state"], release["predictions"], release["who"]) == ("live", 3, "ann")


def test_a_correction_is_not_used_by_what_came_before(
    repository: DataRepository, flight_delays: UseCase, make: Callable[..., Created], publish: Callable[..., UseCase]
) -> None:
    used(flight_delays)
    publish("2013-04-02", lambda rows: rows.assign(distance=rows["distance"].astype(int) + 1))
    make()
    partitions = {record.version: [row["partitions"] for row in by] for record, by in list_versions("flight_delays")}
    assert partitions == {"v1": [2], "v2": [1]}


def test_a_training_set_is_traced_both_ways(repository: DataRepository, flight_delays: UseCase) -> None:
    used(flight_delays)
    release = str(ask("SELECT release_id FROM ledger.releases")[0][0])
    created = create_version(flight_delays, training_set=release, who="ann")
    traced = trace_version(flight_delays, find_record(str(created.version.name)))
    assert [row["partition_key"] for row in traced["made_from"]["publications"]] == ["2013-04-01", "2013-04-02"]
    assert [model["version"] for row in traced["used_by"] for model in row["models"]] == [7, 8]


def test_the_command_draws_a_tree(repository: DataRepository, flight_delays: UseCase) -> None:
    used(flight_delays)
    run = CliRunner().invoke
    wide = {"COLUMNS": "300"}
    drawn = run(build_app(), ["data", "version", "lineage", "flight_delays/flights/v1"], env=wide).stdout
    for words in ("made from", "raw file", "used by", "gate refused", "3 predictions", "flight_delays.training/one"):
        assert words in drawn
    told: dict[str, Any] = json.loads(
        run(build_app(), ["data", "version", "lineage", "flight_delays/flights", "--json"]).stdout
    )
    assert told["version"]["name"] == "flight_delays/flights/v1"
    with pytest.raises(DataVersionError, match="did you mean flight_delays/flights/v1"):
        find_record("flight_delays/flights/v2")
