"""Dataset versions: files in git by DVC, made from published partitions and training sets."""
