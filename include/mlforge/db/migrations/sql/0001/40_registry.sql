-- Every gate's decision, passed or not, with the figures it rests on.
CREATE TABLE ledger.gate_decisions (
    decision_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case         text NOT NULL,
    partition_key    text NOT NULL,
    model_name       text NOT NULL,
    model_version    integer NOT NULL,
    champion_release bigint,
    passed           boolean NOT NULL,
    reasons          jsonb NOT NULL,
    evidence         jsonb NOT NULL,
    card_uri         text NOT NULL,
    run_id           text,
    decided_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.gate_decisions (use_case, model_name, model_version, decision_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.gate_decisions
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- The release ledger: who is champion. A release names the one it follows; two cannot follow the same one,
-- so a promotion is a compare-and-set. The newest row of a use case is its champion.
CREATE TABLE ledger.releases (
    release_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case        text NOT NULL,
    sequence        integer NOT NULL,
    parent_id       bigint REFERENCES ledger.releases,
    kind            text NOT NULL CHECK (kind IN ('promote', 'rollback')),
    partition_key   text NOT NULL,
    model_name      text NOT NULL,
    model_version   integer NOT NULL,
    model_uri       text NOT NULL,
    mlflow_run_id   text NOT NULL,
    content_hash    text NOT NULL,   -- SHA-256 of the model's trees and description
    decision_id     bigint REFERENCES ledger.gate_decisions,
    bento           text NOT NULL,
    feature_service text NOT NULL,
    training_set    jsonb NOT NULL,
    evidence        jsonb NOT NULL,
    traffic_plan    jsonb NOT NULL,
    code_version    text NOT NULL,
    run_id          text,
    who             text NOT NULL,
    why             text NOT NULL,
    released_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, sequence)
);
CREATE UNIQUE INDEX ON ledger.releases (use_case, parent_id) NULLS NOT DISTINCT;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.releases
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
