"""The DAGs of household_spend: next week's spend of a household."""

from mlforge.spec import load_use_case
from mlforge_airflow.chains import (
    data_chain,
    deadline_chain,
    monitoring_chain,
    refresh_chain,
    release_chain,
    training_chain,
    walk_forward_chain,
)

use_case = load_use_case("household_spend")

data = data_chain(use_case)
refresh = refresh_chain(use_case)
training = training_chain(use_case)
release = release_chain(use_case)
monitoring = monitoring_chain(use_case)
walk_forward = walk_forward_chain(use_case)
deadline = deadline_chain(use_case)  # none without `retraining.deadline`
