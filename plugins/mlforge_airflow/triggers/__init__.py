"""What waits in Airflow's triggerer, without holding a worker."""
