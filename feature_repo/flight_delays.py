"""What Feast is told about late arrivals: entities, feature views and the service that the model reads."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, RequestSource, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String, UnixTimestamp

from mlforge.features.on_demand import import_functions

OWNER = "flight-operations"
TAGS = {"use_case": "flight_delays"}
# Statistics are snapshots of every night; a week of missed nights makes them worthless.
SNAPSHOT_TTL = timedelta(days=7)
WEATHER_TTL = timedelta(hours=3)
FOREVER = timedelta(0)


def _entity(name: str, value_type: ValueType, description: str) -> Entity:
    return Entity(name=name, join_keys=[name], value_type=value_type, description=description, owner=OWNER, tags=TAGS)


carrier = _entity("carrier", ValueType.STRING, "Carrier, two letters")
origin = _entity("origin", ValueType.STRING, "Airport of departure")
dest = _entity("dest", ValueType.STRING, "Airport of arrival")
sched_hour = _entity("sched_hour", ValueType.INT64, "Scheduled hour of departure, New York time")
tailnum = _entity("tailnum", ValueType.STRING, "Tail number of the aircraft")

_KEY_TYPES = {"carrier": String, "origin": String, "dest": String, "sched_hour": Int64, "tailnum": String}


def _view(
    name: str, entities: list[Entity], ttl: timedelta, description: str, numbers: list[str], texts: tuple[str, ...] = ()
) -> FeatureView:
    source = PostgreSQLSource(
        name=f"flight_delays__{name}",
        table=f"features.flight_delays__{name}",
        timestamp_field="event_timestamp",
        created_timestamp_column="known_at",
        owner=OWNER,
        tags=TAGS,
    )
    schema = [Field(name=entity.join_key, dtype=_KEY_TYPES[entity.join_key]) for entity in entities]
    schema += [Field(name=number, dtype=Float64) for number in numbers]
    schema += [Field(name=text, dtype=String) for text in texts]
    return FeatureView(
        name=name, entities=entities, ttl=ttl, schema=schema, source=source, description=description, owner=OWNER,
        tags=TAGS,
    )  # fmt: skip


carrier_delays = _view(
    "carrier_delays",
    [carrier],
    SNAPSHOT_TTL,
    "Delays of the carrier, last 7 and 28 days, from outcomes known at midnight UTC",
    [
        "mean_arr_delay_7d",
        "mean_arr_delay_28d",
        "late_share_7d",
        "late_share_28d",
        "flights_28d",
        "cancelled_share_28d",
    ],
)
route_delays = _view(
    "route_delays",
    [origin, dest],
    SNAPSHOT_TTL,
    "Delays of the route, last 7 and 28 days, from outcomes known at midnight UTC; its length and time in the air",
    [
        "mean_arr_delay_7d",
        "mean_arr_delay_28d",
        "late_share_28d",
        "flights_28d",
        "cancelled_share_28d",
        "distance",
        "mean_air_time_28d",
    ],
)
origin_hour_delays = _view(
    "origin_hour_delays",
    [origin, sched_hour],
    SNAPSHOT_TTL,
    "Delays of departures at this airport in this hour, last 7 and 28 days",
    ["late_share_7d", "late_share_28d", "mean_dep_delay_7d", "mean_dep_delay_28d"],
)
tail_delays = _view(
    "tail_delays",
    [tailnum],
    SNAPSHOT_TTL,
    "Delays of the aircraft, last 7 and 28 days, and its last one",
    ["mean_arr_delay_7d", "mean_arr_delay_28d", "last_arr_delay", "flights_28d"],
)
weather = _view(
    "weather",
    [origin],
    WEATHER_TTL,
    "Newest hourly observation at the airport of departure",
    ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
)
planes = _view(
    "planes",
    [tailnum],
    FOREVER,
    "What the register says about the aircraft",
    ["built_year", "seats", "engines"],
    ("type", "manufacturer"),
)
# The server and training call this same function of the use case; Feast keeps a copy for those who read through it.
_USE_CASE = Path(__file__).parents[1] / "include" / "use_cases" / "flight_delays"
flight_context = on_demand_feature_view(
    sources=[
        RequestSource(
            name="flight_delays__request", schema=[Field(name="scheduled_departure", dtype=UnixTimestamp)], tags=TAGS
        ),
        carrier_delays[["late_share_28d"]],
        route_delays[["late_share_28d"]],
        origin_hour_delays[["late_share_28d"]],
        planes[["built_year"]],
    ],
    schema=[Field(name=name, dtype=Float64) for name in ("plane_age", "carrier_over_route", "hour_over_route")],
    mode="python",
    description="The aircraft's age, and how late carrier and hour are beside the route",
    owner=OWNER,
    tags=TAGS,
)(import_functions(_USE_CASE / "on_demand.py")["flight_context"])

flight_delays = FeatureService(
    name="flight_delays",
    features=[carrier_delays, route_delays, origin_hour_delays, tail_delays, weather, planes, flight_context],
    description="Features of a flight at its scheduled departure",
    owner=OWNER,
    tags=TAGS,
)
