"""What Feast is told about households: the entity, feature views and the service that the model reads."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64, String

OWNER = "customer-insight"
TAGS = {"use_case": "household_spend"}
# Statistics are snapshots of every week; two missed weeks make them worthless.
SNAPSHOT_TTL = timedelta(days=14)
FOREVER = timedelta(0)

household = Entity(
    name="household_id",
    join_keys=["household_id"],
    value_type=ValueType.INT64,
    description="Number of the household",
    owner=OWNER,
    tags=TAGS,
)


def _view(
    name: str, ttl: timedelta, description: str, *, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = ()
) -> FeatureView:
    source = PostgreSQLSource(
        name=f"household_spend__{name}",
        table=f"features.household_spend__{name}",
        timestamp_field="event_timestamp",
        created_timestamp_column="known_at",
        owner=OWNER,
        tags=TAGS,
    )
    schema = [Field(name="household_id", dtype=Int64)]
    schema += [Field(name=number, dtype=Float64) for number in numbers]
    schema += [Field(name=text, dtype=String) for text in texts]
    return FeatureView(
        name=name, entities=[household], ttl=ttl, schema=schema, source=source, description=description, owner=OWNER,
        tags=TAGS,
    )  # fmt: skip


spending = _view(
    "spending",
    SNAPSHOT_TTL,
    "What the household spent in the last 12 weeks, and how often it came",
    numbers=(
        "spend_1w",
        "spend_week_before",
        "spend_4w",
        "spend_12w",
        "median_week_12w",
        "spread_of_weeks_12w",
        "weeks_with_visits_12w",
        "trips_1w",
        "trips_4w",
        "trips_12w",
        "mean_basket_12w",
        "largest_basket_12w",
        "days_since_visit",
        "days_known_12w",
    ),
)
discounts = _view(
    "discounts",
    SNAPSHOT_TTL,
    "How much of its prices was taken off in the last 8 weeks",
    numbers=("card_share_8w", "coupon_share_8w", "discounted_lines_8w"),
)
departments = _view(
    "departments",
    SNAPSHOT_TTL,
    "What its money went to in the last 8 weeks",
    numbers=(
        "grocery_share_8w",
        "produce_share_8w",
        "meat_share_8w",
        "drug_share_8w",
        "fuel_share_8w",
        "deli_share_8w",
        "own_brand_share_8w",
        "departments_8w",
    ),
)
demographics = _view(
    "demographics",
    FOREVER,
    "What some households told about themselves",
    texts=(
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ),
)

household_spend = FeatureService(
    name="household_spend",
    features=[spending, discounts, departments, demographics],
    description="Features of a household when its week begins",
    owner=OWNER,
    tags=TAGS,
)
