"""A use case from somebody's own data: what a file or table says is inferred, explained, and written as files.

`make_draft` infers, `findings` explains, `render` gives the texts, `write_files` writes them. Nothing is guessed
silently: every choice has its reason, and a wish of the person overrides it.
"""

from mlforge.scaffold.draft import Draft, Wishes
from mlforge.scaffold.findings import Finding, findings, warnings
from mlforge.scaffold.inference import check_names, make_draft
from mlforge.scaffold.reading import Sample, read_file
from mlforge.scaffold.rendering import render
from mlforge.scaffold.tables import read_table
from mlforge.scaffold.writing import write_files

__all__ = [
    "Draft",
    "Finding",
    "Sample",
    "Wishes",
    "check_names",
    "findings",
    "make_draft",
    "read_file",
    "read_table",
    "render",
    "warnings",
    "write_files",
]
