-- Studies of the search for parameters: Optuna keeps its own tables here, and makes them itself.
CREATE SCHEMA IF NOT EXISTS search;
