-- Each claim of partitions by an attempt; one attempt claims a day or a whole range. The newest claim of a partition
-- wins: an older attempt is fenced, unless both have the same input and code, so that either gives the same rows.
CREATE SEQUENCE ledger.attempt_numbers;
CREATE TABLE ledger.attempts (
    use_case      text NOT NULL,
    dataset       text NOT NULL,
    partition_key text NOT NULL,
    attempt       bigint NOT NULL,
    raw_hash      text NOT NULL,
    code_version  text NOT NULL,
    claimed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (use_case, dataset, partition_key, attempt)
);

-- One row per partition and changed content. rows_in = rows_published + rows_quarantined + rows_duplicate.
CREATE TABLE ledger.publications (
    publication_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case         text NOT NULL,
    dataset          text NOT NULL,
    partition_key    text NOT NULL,
    version          integer NOT NULL,
    attempt          bigint NOT NULL,
    rows_in          bigint NOT NULL,
    rows_published   bigint NOT NULL,
    rows_quarantined bigint NOT NULL,
    rows_duplicate   bigint NOT NULL,
    content_hash     text NOT NULL,
    quarantine_hash  text NOT NULL DEFAULT '',  -- of the rows set aside, with the rules that they break
    raw_uri          text NOT NULL,
    raw_hash         text NOT NULL,
    contract_version text NOT NULL,
    code_version     text NOT NULL,
    run_id           text,
    published_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, dataset, partition_key, version),
    CHECK (rows_in = rows_published + rows_quarantined + rows_duplicate)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.publications
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

CREATE TABLE quarantine.rows (
    row_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    dataset       text NOT NULL,
    partition_key text NOT NULL,
    attempt       bigint NOT NULL,
    row           jsonb NOT NULL,
    rules         text[] NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON quarantine.rows (use_case, dataset, partition_key);
