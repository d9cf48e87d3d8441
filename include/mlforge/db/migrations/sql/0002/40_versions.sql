-- One row per dataset version: a tag of the data repository whose files lie at the remote. The same content is one version.
CREATE TABLE ledger.dataset_versions (
    dataset_version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    use_case          text NOT NULL,
    dataset           text NOT NULL,      -- name of a dataset, or `training-set`
    version           text NOT NULL,      -- v1, v2, … or the name that a person gave
    number            integer NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('dataset', 'training_set')),
    partitions        integer NOT NULL,
    rows              bigint NOT NULL,
    bytes             bigint NOT NULL,
    content_hash      text NOT NULL,      -- over the hashes of its files
    publication_ids   bigint[] NOT NULL,  -- of the partitions, for a published dataset
    training_set_hash text,               -- content_hash of the training set, for one
    contract_version  text,
    code_version      text NOT NULL,
    git_commit        text NOT NULL,
    who               text NOT NULL,
    note              text NOT NULL,
    run_id            text,
    created_at        timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (use_case, dataset, version),
    UNIQUE (use_case, dataset, number),
    UNIQUE (use_case, dataset, content_hash)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.dataset_versions
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
