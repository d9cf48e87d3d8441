"""What a user writes: a use case, and the contracts of its datasets."""

from mlforge.spec.contract import Column, Contract, load_contract
from mlforge.spec.datasets import Dataset
from mlforge.spec.loading import list_use_cases, load_use_case
from mlforge.spec.use_case import UseCase

__all__ = ["Column", "Contract", "Dataset", "UseCase", "list_use_cases", "load_contract", "load_use_case"]
