from __future__ import annotations

import pytest

from mlforge.contracts.policy import require_policy
from mlforge.contracts.rules import Rule, Verdict
from mlforge.errors import ContractError
from mlforge.spec import UseCase

RULE = Rule("n.range", "row", "error", "X", {})


def test_the_share_is_counted_for_each_day_by_itself(flight_delays: UseCase) -> None:
    dataset = flight_delays.dataset("flights").model_copy(update={"quarantine_up_to": 0.1})
    verdicts = [Verdict(RULE, passed=False, row_ids=(1, 2))]
    require_policy(dataset, "w", verdicts, {"2013-01-01": (20, 20, 2), "2013-01-02": (20, 20, 0)}, {})
    with pytest.raises(ContractError, match=r"2 of 10 rows of 1 of 2 partitions, such as 2013-01-02, \(20.0%\)"):
        require_policy(
            dataset, "w", verdicts, {"2013-01-01": (99, 99, 0), "2013-01-02": (10, 10, 2)}, {"n.range": [{"n": 7}]}
        )


def test_a_warning_on_a_partition_fails_nothing(flight_delays: UseCase) -> None:
    rule = Rule("rows", "partition", "warning", "X", {})
    verdict = Verdict(rule, passed=False, observed={"2013-01-01": 3.0})
    require_policy(flight_delays.dataset("flights"), "w", [verdict], {"2013-01-01": (3, 3, 0)}, {})
