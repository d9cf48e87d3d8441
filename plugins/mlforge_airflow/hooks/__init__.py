"""What the library asks Airflow for."""
