import pickle

import pytest

from mlforge.errors import ContractError, MLForgeError, RetryableError, ServiceUnavailableError, TerminalError


def test_a_message_says_where_what_evidence_and_next_step() -> None:
    error = ContractError("3 rows break it", where="flights 2013-01-01", evidence=[1, 2], hint="look")
    assert str(error) == "flights 2013-01-01: 3 rows break it (1; 2) → look"


def test_evidence_is_bounded() -> None:
    assert "(0; 1; 2; 3; 4; and 95 more)" in str(MLForgeError("many", evidence=range(100)))


def test_an_error_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(ServiceUnavailableError("down", where="w", evidence=["e"], hint="h")))  # noqa: S301
    assert (type(error), str(error)) == (ServiceUnavailableError, "w: down (e) → h")


@pytest.mark.parametrize(
    ("kind", "parent"), [(ContractError, TerminalError), (ServiceUnavailableError, RetryableError)]
)
def test_the_tree_says_whether_to_try_again(kind: type[MLForgeError], parent: type[MLForgeError]) -> None:
    assert issubclass(kind, parent)
