-- Each time that somebody might have asked for a training: whether it was asked for, and why or why not.
CREATE TABLE ledger.training_requests (
    request_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    partition_key text NOT NULL,     -- the newest partition that the training is made of
    cause         text NOT NULL CHECK (cause IN ('partition', 'drift', 'person')),
    verdict       text NOT NULL CHECK (verdict IN ('asked', 'unchanged', 'already', 'off', 'no_cause', 'not_live')),
    asked         boolean NOT NULL GENERATED ALWAYS AS (verdict = 'asked') STORED,
    reason        text NOT NULL,
    inputs        jsonb NOT NULL,    -- kind of input → hash: what a training would have been made of
    inputs_hash   text NOT NULL,     -- of all of them
    who           text NOT NULL,
    run_id        text,
    requested_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.training_requests (use_case, partition_key, request_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.training_requests
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
