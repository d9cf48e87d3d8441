"""The services of one machine: PostgreSQL, MLflow, Airflow, the gateway, release servers, under supervisord."""
