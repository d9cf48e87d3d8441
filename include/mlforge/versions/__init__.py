"""Dataset versions: files in git by DVC, made from published partitions and training sets."""

from mlforge.versions.create import Created, create_version
from mlforge.versions.repository import DataRepository
from mlforge.versions.restore import restore_version

__all__ = ["Created", "DataRepository", "create_version", "restore_version"]
