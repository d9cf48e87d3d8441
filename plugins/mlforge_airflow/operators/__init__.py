"""One thin operator per arrow between stages; each runs one function of `mlforge.stages`."""
