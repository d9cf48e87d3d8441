-- What happened afterwards, joined to a prediction by its key fields. A correction is a new row; the last one counts.
CREATE TABLE ledger.outcomes (
    outcome_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receipt_id  uuid NOT NULL REFERENCES ledger.predictions,
    use_case    text NOT NULL,
    moment      timestamptz NOT NULL,
    label       double precision NOT NULL,
    known_at    timestamptz NOT NULL,
    run_id      text,
    joined_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.outcomes (use_case, moment);
CREATE INDEX ON ledger.outcomes (receipt_id, outcome_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.outcomes
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- The outcome of each prediction that has one. A join always reads what the warehouse says now, so the row that was
-- joined last is the newest knowledge, even where a correction left known_at as it was.
CREATE VIEW ledger.current_outcomes AS
    SELECT DISTINCT ON (receipt_id) receipt_id, use_case, moment, label, known_at, outcome_id
    FROM ledger.outcomes
    ORDER BY receipt_id, outcome_id DESC;

-- One row per partition and changed content.
CREATE TABLE ledger.drift_reports (
    drift_report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case        text NOT NULL,
    partition_key   text NOT NULL,     -- a day, or the days that were compared together
    release_id      bigint,
    reference_hash  text NOT NULL,
    current_hash    text NOT NULL,
    rows            bigint NOT NULL,
    scores          jsonb NOT NULL,    -- column → PSI
    findings        jsonb NOT NULL,    -- column → what its score does not tell
    drifted         text[] NOT NULL,
    performance     jsonb NOT NULL,
    report_hash     text NOT NULL,     -- of all of the above
    uri             text NOT NULL,     -- the page
    detail_uri      text NOT NULL,     -- the same as JSON
    run_id          text,
    reported_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, partition_key, report_hash)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.drift_reports
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

CREATE TABLE ledger.alerts (
    alert_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    partition_key text NOT NULL,
    severity      text NOT NULL CHECK (severity IN ('warning', 'critical')),
    what          text NOT NULL,
    detail        jsonb NOT NULL DEFAULT '{}',
    run_id        text,
    raised_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, partition_key, what)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.alerts
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
