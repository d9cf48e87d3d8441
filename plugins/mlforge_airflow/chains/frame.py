"""What the DAGs of all chains have in common."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param

from mlforge_airflow.operators.retry import FIRST_DELAY, BackoffWithJitter

if TYPE_CHECKING:
    from mlforge.spec import UseCase

RETRIES = 2


def act_live_param(also: str = "") -> Param:
    """Return the parameter by which a person lets live tasks act.

    Args:
        also: What else it does in a chain.
    """
    return Param(
        False,
        type="boolean",
        title="Act live",
        description=f"Let live tasks act although this is a backfill or not the newest partition. {also}".strip(),
    )


def range_params() -> dict[str, Param]:
    """Return the parameters by which a person widens a run to a range of partitions."""
    return {
        name: Param(
            None,
            type=["null", "string"],
            format="date",
            title=f"{which} day of a range",
            description="For many days in one run; the partition key is the last day.",
        )
        for name, which in (("from", "First"), ("to", "Last"))
    }


def chain_dag(use_case: UseCase, chain: str, *, description: str, doc: str, **arguments: Any) -> DAG:
    """Return an empty DAG for a chain, with the habits of all chains.

    Args:
        use_case: The use case; gives owner and tags.
        chain: Name of the chain; the DAG's id is `<use case>.<chain>`.
        description: One line for the list of DAGs.
        doc: Markdown for the DAG's page.
        arguments: Schedule, parameters and limits.
    """
    return DAG(
        f"{use_case.name}.{chain}",
        description=f"{use_case.title}: {description}",
        doc_md=f"### {use_case.title}: {chain}\n\n{inspect.cleandoc(doc)}\n",
        tags=["mlforge", use_case.name, chain, *use_case.tags],
        catchup=False,
        is_paused_upon_creation=False,
        default_args={
            "owner": use_case.owner,
            "retries": RETRIES,
            "retry_delay": FIRST_DELAY,
            "retry_policy": BackoffWithJitter(),
        },
        **arguments,
    )
