-- Walks through history: trained as of each week, scored on that week, beside what is live. A walk has settings of its
-- own; other settings are another walk.
CREATE TABLE ledger.walks (
    walk_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case   text NOT NULL,
    name       text NOT NULL,
    settings   text NOT NULL,          -- hash of all that follows, and of features, model.py and training
    metric     text NOT NULL,
    policies   text[] NOT NULL,
    details    jsonb NOT NULL,         -- the settings in words
    first_week date NOT NULL,
    run_id     text,
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, name)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.walks
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Rows of a week with their features, joined once for all training sets of which the week is a part.
CREATE TABLE ledger.walk_rows (
    walk_rows_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case     text NOT NULL,
    week         date NOT NULL,
    inputs       text NOT NULL,        -- hash of the features that they were joined from
    rows         bigint NOT NULL,
    uri          text NOT NULL,
    content_hash text NOT NULL,
    joined_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.walk_rows (use_case, week, walk_rows_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.walk_rows
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Models of walks; no registry knows them. The same rows and settings are the same model, whichever walk asks.
CREATE TABLE ledger.walk_models (
    walk_model_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case         text NOT NULL,
    recipe           text NOT NULL,    -- hash of training rows, settings and code
    as_of            timestamptz NOT NULL,
    window_start     timestamptz NOT NULL,
    training_hash    text NOT NULL,    -- of the training set that features.assemble gives as of then
    training_rows    bigint NOT NULL,
    model_hash       text NOT NULL,
    uri              text NOT NULL,
    description      jsonb NOT NULL,
    metrics          jsonb NOT NULL,   -- of the training and validation rows
    assemble_seconds double precision NOT NULL,
    train_seconds    double precision NOT NULL,
    code_version     text NOT NULL,
    run_id           text,
    trained_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.walk_models (use_case, recipe, walk_model_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.walk_models
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- One row per walk, week and policy; another one only where the input has changed. The newest one counts.
CREATE TABLE ledger.walk_weeks (
    walk_week_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    walk_id          bigint NOT NULL REFERENCES ledger.walks,
    week             date NOT NULL,    -- its first day: the model knows what was known then, and is scored on the week
    policy           text NOT NULL,
    inputs           text NOT NULL,    -- hash of the publications, and of the model kept from the week before
    walk_model_id    bigint NOT NULL REFERENCES ledger.walk_models,
    trained          boolean NOT NULL, -- whether the policy trained for this week
    reason           text NOT NULL,
    drift            jsonb NOT NULL,   -- what was compared and what had drifted, for the policy that asks
    rows             bigint NOT NULL,
    rows_hash        text NOT NULL,    -- of the scored rows
    label_mean       double precision NOT NULL,
    loss             double precision NOT NULL,  -- mean loss of the rows; the metric is made from it
    value            double precision NOT NULL,  -- of the walk's metric
    metrics          jsonb NOT NULL,   -- every score, by name
    assemble_seconds double precision NOT NULL,
    train_seconds    double precision NOT NULL,
    check_seconds    double precision NOT NULL,
    run_id           text,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.walk_weeks (walk_id, week, policy, walk_week_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.walk_weeks
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE VIEW ledger.current_walk_weeks AS
    SELECT DISTINCT ON (walk_id, week, policy) *
    FROM ledger.walk_weeks
    ORDER BY walk_id, week, policy, walk_week_id DESC;
