"""MLForge on Airflow: operators, chains, executor, pages."""
