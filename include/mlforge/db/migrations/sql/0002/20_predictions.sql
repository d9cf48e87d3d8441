-- A regression answers with a value, which has no class.
ALTER TABLE ledger.predictions ALTER COLUMN label DROP NOT NULL;
