-- What happened afterwards, joined to a prediction by its key fields.
CREATE TABLE ledger.outcomes (
    outcome_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt_id  uuid NOT NULL REFERENCES ledger.predictions,
    use_case    text NOT NULL,
    moment      timestamptz NOT NULL,
    label       double precision NOT NULL,
    known_at    timestamptz NOT NULL,
    joined_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (receipt_id, label)
);
CREATE INDEX ON ledger.outcomes (use_case, moment);

CREATE TABLE ledger.drift_reports (
    drift_report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case        text NOT NULL,
    partition_key   text NOT NULL,
    release_id      bigint,
    reference_hash  text NOT NULL,
    rows            bigint NOT NULL,
    scores          jsonb NOT NULL,    -- column → PSI
    drifted         text[] NOT NULL,
    performance     jsonb NOT NULL,
    uri             text NOT NULL,
    run_id          text,
    reported_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ledger.alerts (
    alert_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    partition_key text NOT NULL,
    severity      text NOT NULL,
    what          text NOT NULL,
    detail        jsonb NOT NULL DEFAULT '{}',
    run_id        text,
    raised_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, partition_key, what)
);
