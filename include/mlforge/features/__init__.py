"""Features: computed in the warehouse, joined point in time for training, kept online for serving."""

from mlforge.features.apply import apply_features
from mlforge.features.assemble import assemble_partition, assemble_training_set
from mlforge.features.build import build_features
from mlforge.features.materialize import materialize_features, sync_online
from mlforge.features.online import OnlineFeatures, read_online
from mlforge.features.store import close_store, open_store, store_environment

__all__ = [
    "OnlineFeatures",
    "apply_features",
    "assemble_partition",
    "assemble_training_set",
    "build_features",
    "close_store",
    "materialize_features",
    "open_store",
    "read_online",
    "store_environment",
    "sync_online",
]
