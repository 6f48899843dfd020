"""Data sets: readers of published ones, the drawn one, and what every command trains on.

For a script: manifests are read and written by `read_manifest`, `stream_manifest` and `write_manifest`, the Examples of
a recipe by `load_examples`; `unit_of` says which Examples are of one patient; a reader of one's own makes `Record` and
is a `Reader`; `phantom` draws films.
"""

from typing import TYPE_CHECKING

from radrl.support.lazy import lazy_names

if TYPE_CHECKING:
    from radrl.data import phantom
    from radrl.data.published.record import Reader, Record, Skipped
    from radrl.manifest.example_set import ExampleSet
    from radrl.manifest.from_recipe import load_examples
    from radrl.manifest.independence import unit_of
    from radrl.manifest.jsonl import read_manifest, stream_manifest, write_manifest

__all__ = [
    "ExampleSet",
    "Reader",
    "Record",
    "Skipped",
    "load_examples",
    "phantom",
    "read_manifest",
    "stream_manifest",
    "unit_of",
    "write_manifest",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ExampleSet": "radrl.manifest.example_set",
        "Reader": "radrl.data.published.record",
        "Record": "radrl.data.published.record",
        "Skipped": "radrl.data.published.record",
        "load_examples": "radrl.manifest.from_recipe",
        "phantom": "radrl.data.phantom:",
        "read_manifest": "radrl.manifest.jsonl",
        "stream_manifest": "radrl.manifest.jsonl",
        "unit_of": "radrl.manifest.independence",
        "write_manifest": "radrl.manifest.jsonl",
    },
)
