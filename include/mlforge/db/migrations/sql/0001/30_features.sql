-- One row per view, partition and changed input or content.
CREATE TABLE ledger.feature_publications (
    feature_publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    view          text NOT NULL,
    partition_key text NOT NULL,
    rows          bigint NOT NULL,
    content_hash  text NOT NULL,
    inputs        text NOT NULL,   -- hash of the publications that it was computed from: the same ones need no work
    code_version  text NOT NULL,
    run_id        text,
    built_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.feature_publications (use_case, view, partition_key, feature_publication_id DESC);

CREATE TABLE ledger.materializations (
    materialization_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    view          text NOT NULL,
    partition_key text NOT NULL,
    range_start   timestamptz NOT NULL,
    range_end     timestamptz NOT NULL,
    rows_written  bigint NOT NULL,
    rows_kept     bigint NOT NULL,   -- rows that the online store refused because it holds newer ones
    run_id        text,
    materialized_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ledger.training_sets (
    training_set_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case        text NOT NULL,
    partition_key   text NOT NULL,
    as_of           timestamptz NOT NULL,
    rows            bigint NOT NULL,
    uri             text NOT NULL,
    content_hash    text NOT NULL,
    feature_service text NOT NULL,
    publications    jsonb NOT NULL,  -- dataset → newest publication_id
    code_version    text NOT NULL,
    run_id          text,
    assembled_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What `features apply` registered; the same declarations again change nothing.
CREATE TABLE ledger.feature_applications (
    application_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case    text NOT NULL,
    fingerprint text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
