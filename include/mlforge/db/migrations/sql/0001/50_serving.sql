-- Steps of roll-outs; the newest row of a release is its state.
CREATE TABLE ledger.deployments (
    deployment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    release_id    bigint NOT NULL REFERENCES ledger.releases,
    state         text NOT NULL CHECK (state IN ('packaged', 'starting', 'verified', 'live', 'draining', 'stopped', 'failed')),
    port          integer,
    detail        jsonb NOT NULL DEFAULT '{}',
    run_id        text,
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.deployments (use_case, release_id, deployment_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.deployments
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- A receipt for every answer.
CREATE TABLE ledger.predictions (
    receipt_id    uuid PRIMARY KEY,
    use_case      text NOT NULL,
    release_id    bigint NOT NULL,
    model_version integer NOT NULL,
    moment        timestamptz NOT NULL,     -- what the prediction is for
    request       jsonb NOT NULL,
    features      jsonb NOT NULL,           -- name → value, as the model saw it
    feature_times jsonb NOT NULL,           -- view → event timestamp
    flags         text[] NOT NULL DEFAULT '{}',
    score         double precision NOT NULL,
    label         text NOT NULL,
    latency_ms    double precision NOT NULL,
    key_name      text,
    predicted_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.predictions (use_case, moment);

CREATE TABLE ledger.api_keys (
    key_id     uuid PRIMARY KEY,
    name       text NOT NULL,
    scopes     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
-- A name is free again when its key was revoked.
CREATE UNIQUE INDEX ON ledger.api_keys (name) WHERE revoked_at IS NULL;
