-- Which version of a view was brought online, and into which store: each has rows of its own.
ALTER TABLE ledger.materializations
    ADD COLUMN view_version integer NOT NULL DEFAULT 0,
    ADD COLUMN online_store text NOT NULL DEFAULT 'postgresql';
CREATE INDEX ON ledger.materializations (use_case, view, view_version, materialization_id DESC);

-- What a bento reads online, frozen when it was packaged: these versions are kept fresh as long as it may answer.
CREATE TABLE ledger.feature_plans (
    plan_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bento           text NOT NULL,
    feature_service text NOT NULL,
    view            text NOT NULL,
    view_version    integer NOT NULL,
    features        text[] NOT NULL,
    planned_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.feature_plans (bento, plan_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.feature_plans
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();

-- Served values computed again from the offline store, as of the moment when they were served.
CREATE TABLE ledger.skew_checks (
    skew_check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case      text NOT NULL,
    partition_key text NOT NULL,
    receipts      bigint NOT NULL,
    values_checked bigint NOT NULL,
    skewed        bigint NOT NULL,
    report        jsonb NOT NULL,   -- per feature: how many differ, with examples; what lag and corrections explain
    run_id        text,
    checked_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON ledger.skew_checks (use_case, skew_check_id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.skew_checks
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
