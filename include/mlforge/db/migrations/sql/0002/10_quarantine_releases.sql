-- A row that a person let out of quarantine. It stands: whenever the source brings exactly this row again, the fixed
-- one takes its place, or the waived rules are waived. When the source changes the row, the source wins.
CREATE TABLE ledger.quarantine_releases (
    release_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    dataset       text NOT NULL,
    partition_key text NOT NULL,
    row           jsonb NOT NULL,            -- as it came
    rules         text[] NOT NULL,           -- that it broke
    fixed         jsonb,                     -- what takes its place; NULL when it is published as it is
    waived        text[] NOT NULL DEFAULT '{}',
    who           text NOT NULL,
    why           text NOT NULL,
    released_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((fixed IS NULL) = (cardinality(waived) > 0))
);
CREATE INDEX ON ledger.quarantine_releases (use_case, dataset, partition_key);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.quarantine_releases
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Whether a released row was still in what the source brought: one row at first, and whenever that changes.
CREATE TABLE ledger.quarantine_release_uses (
    use_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release_id bigint NOT NULL REFERENCES ledger.quarantine_releases,
    raw_hash   text NOT NULL,
    applied    boolean NOT NULL,
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.quarantine_release_uses (release_id, use_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.quarantine_release_uses
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
