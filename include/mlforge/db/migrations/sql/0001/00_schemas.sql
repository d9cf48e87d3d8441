CREATE SCHEMA IF NOT EXISTS staging;     -- rows between landing and publication, unlogged
CREATE SCHEMA IF NOT EXISTS warehouse;   -- published partitions
CREATE SCHEMA IF NOT EXISTS quarantine;  -- rows that broke their contract
CREATE SCHEMA IF NOT EXISTS features;    -- offline feature tables
CREATE SCHEMA IF NOT EXISTS online;      -- Feast's online store
CREATE SCHEMA IF NOT EXISTS feast;       -- Feast's registry
CREATE SCHEMA IF NOT EXISTS ledger;      -- append-only record of what happened

-- A ledger row is written once. Corrections are new rows.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is append-only', TG_TABLE_NAME;
END $$;
