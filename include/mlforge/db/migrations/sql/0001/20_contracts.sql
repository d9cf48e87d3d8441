-- One row per rule and checked partition (or range).
CREATE TABLE ledger.contract_results (
    result_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case         text NOT NULL,
    dataset          text NOT NULL,
    partition_key    text NOT NULL,
    attempt          bigint NOT NULL,
    contract_version text NOT NULL,
    rule             text NOT NULL,
    severity         text NOT NULL,
    passed           boolean NOT NULL,
    rows_checked     bigint NOT NULL,
    rows_failed      bigint NOT NULL,
    observed         jsonb NOT NULL DEFAULT '{}',
    checked_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.contract_results (use_case, dataset, partition_key);
