"""A use case's models by their address: downloaded once, read with what the use case trusts, and where a copy lies."""

from mlforge.models.copies import RESTORES_TAG, ModelCopy, find_copy, keep_in_cache
from mlforge.models.loading import load_model, read_folder

__all__ = ["RESTORES_TAG", "ModelCopy", "find_copy", "keep_in_cache", "load_model", "read_folder"]
