-- One row per check and partition; ledger.contract_results has its rules.
-- rows_in = rows_kept + rows_broken + rows_duplicate; of a check that failed nothing is published.
CREATE TABLE ledger.contract_checks (
    check_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case         text NOT NULL,
    dataset          text NOT NULL,
    partition_key    text NOT NULL,
    attempt          bigint NOT NULL,
    contract_version text NOT NULL,
    verdict          text NOT NULL CHECK (verdict IN ('passed', 'warned', 'quarantined', 'failed')),
    rows_in          bigint NOT NULL,
    rows_kept        bigint NOT NULL,
    rows_broken      bigint NOT NULL,
    rows_duplicate   bigint NOT NULL,
    extra_columns    text[] NOT NULL DEFAULT '{}',
    reason           text NOT NULL DEFAULT '',  -- why it failed
    content_hash     text NOT NULL DEFAULT '',  -- of the rows kept; of a check that failed, none
    quarantine_hash  text NOT NULL DEFAULT '',  -- of the rows set aside, with the rules that they break
    checked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (rows_in = rows_kept + rows_broken + rows_duplicate)
);
CREATE INDEX ON ledger.contract_checks (use_case, dataset, partition_key, check_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.contract_checks
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.contract_results
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
