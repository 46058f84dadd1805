"""Recipes and run records: typed, hashed, written atomically. Nothing here needs torch."""

from codelab.records.hashing import code_sha256, sha256_file, sha256_tree, sha256_value
from codelab.records.reading import find_records, read_record, read_samples, read_steps, verify_files
from codelab.records.recipe import Hardware, Recipe, Strict, parse_recipe, read_yaml
from codelab.records.rows import RowLog
from codelab.records.schema import DataFacts, Device, Environment, Metric, ModelFacts, Phase, Record, State
from codelab.records.store import Run, open_run, reopen

__all__ = [
    "DataFacts",
    "Device",
    "Environment",
    "Hardware",
    "Metric",
    "ModelFacts",
    "Phase",
    "Recipe",
    "Record",
    "RowLog",
    "Run",
    "State",
    "Strict",
    "code_sha256",
    "find_records",
    "open_run",
    "parse_recipe",
    "read_record",
    "read_samples",
    "read_steps",
    "read_yaml",
    "reopen",
    "sha256_file",
    "sha256_tree",
    "sha256_value",
    "verify_files",
]
