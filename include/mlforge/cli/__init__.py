"""The command `mlforge`."""
