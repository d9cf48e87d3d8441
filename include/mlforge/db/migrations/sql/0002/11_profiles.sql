-- Statistics of a publication: what its partition held from then until the next version.
CREATE TABLE ledger.profiles (
    publication_id bigint PRIMARY KEY,
    use_case       text NOT NULL,
    dataset        text NOT NULL,
    partition_key  text NOT NULL,
    rows           bigint NOT NULL,
    columns        jsonb NOT NULL,  -- column → count, nulls, distinct, min, max, mean, std, quantiles, top
    profiled_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.profiles (use_case, dataset, partition_key);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.profiles
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
