"""The demonstration: the main job on real flights, through the running Airflow and the gateway."""

from mlforge.demo.run import run_demo

__all__ = ["run_demo"]
