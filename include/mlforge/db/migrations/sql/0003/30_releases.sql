-- A release's semantic version, and what its model was made from besides its rows (kind of input → hash).
-- 0.0.0 is a row that nobody has numbered.
ALTER TABLE ledger.releases
    ADD COLUMN version text NOT NULL DEFAULT '0.0.0' CHECK (version ~ '^\d+\.\d+\.\d+$'),
    ADD COLUMN fingerprints jsonb NOT NULL DEFAULT '{}';

-- Releases made before count as the same settings trained again: 1.0.0, 1.0.1, … in the order in which their models
-- were first promoted. A version names a model, so a rollback has that of the model it brings back. Only the new
-- column is filled; what the rows said before stays as it is.
ALTER TABLE ledger.releases DISABLE TRIGGER append_only;
UPDATE ledger.releases AS r
SET version = '1.0.' || (m.place - 1)
FROM (
    SELECT use_case, model_uri, row_number() OVER (PARTITION BY use_case ORDER BY min(sequence)) AS place
    FROM ledger.releases GROUP BY use_case, model_uri
) AS m
WHERE m.use_case = r.use_case AND m.model_uri = r.model_uri;
ALTER TABLE ledger.releases ENABLE TRIGGER append_only;

-- What somebody had changed in MLflow, or what was gone from it, and what was done about it. One row per repair.
CREATE TABLE ledger.repairs (
    repair_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case    text NOT NULL,
    release_id  bigint REFERENCES ledger.releases,  -- the champion that MLflow had to follow; none before the first
    what        text NOT NULL CHECK (what IN ('alias', 'tags', 'version', 'artifact')),
    found       text NOT NULL,
    now         text NOT NULL,
    message     text NOT NULL,
    run_id      text,
    who         text NOT NULL,   -- who had it repaired; MLflow does not say who changed it
    repaired_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.repairs (use_case, repair_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.repairs
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
