-- What each search chose, once per study. A later training uses the newest one again as long as it is young enough.
CREATE TABLE ledger.search_findings (
    finding_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case          text NOT NULL,
    partition_key     text NOT NULL,
    as_of             timestamptz NOT NULL,   -- of the training set: its age is counted from here
    training_set_hash text NOT NULL,
    settings_hash     text NOT NULL,          -- training settings, model.py and features
    study             text NOT NULL UNIQUE,
    family            text NOT NULL,
    parameters        jsonb NOT NULL,
    features          jsonb NOT NULL,         -- columns that the model takes; empty for all
    value             double precision,       -- mean loss over the folds
    trials            jsonb NOT NULL,         -- state → how many
    notes             jsonb NOT NULL,         -- what a person should know, such as how columns were chosen
    run_id            text,
    found_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.search_findings (use_case, settings_hash, as_of DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.search_findings
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
