# SPDX-License-Identifier: Apache-2.0
"""Croissant metadata of a schedule: no complaint of mlcroissant, and the records are the schedule's. Run by croissant.sh."""

import importlib.metadata
import json
import logging
import math
import pathlib
import subprocess
import sys
import tempfile

import mlcroissant

PROGRAM = sys.argv[1]
DATA = pathlib.Path("examples/data")


# Recommended, but nothing that the program knows: nothing is guessed, and no clock is looked at.
UNKNOWN = ("citeAs", "datePublished", "schema.org/version")


class Complaints(logging.Handler):
    """What mlcroissant would only log."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        self.found.append(record.getMessage())


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)


def check(folder, name, complaints):
    schedule = folder / name
    made = run("schedule", "--pairs", DATA / "pairs.jsonl", "--annotations", DATA / "annotations.jsonl",
               "--out", schedule, "--manifest", folder / "manifest.json")
    if made.returncode == 2 and "without Parquet" in made.stderr:
        print(f"{name}: not looked at, the program was built without Parquet")
        return
    assert made.returncode == 0, made.stderr
    made = run("report", "--schedule", schedule, "--annotations", DATA / "annotations.jsonl",
               "--croissant", folder / "croissant.json", "--license", "https://spdx.org/licenses/CC0-1.0")
    assert made.returncode == 0, made.stderr

    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    others = [one for one in [*issues.errors, *issues.warnings, *complaints.found]
              if not any(name in one for name in UNKNOWN)]
    assert not others, others
    tolerance = 0 if name.endswith(".parquet") else 1e-13
    records = list(dataset.records("pairs"))
    lines = folder / "lines.jsonl"
    run("schedule", "--pairs", DATA / "pairs.jsonl", "--annotations", DATA / "annotations.jsonl",
        "--out", lines, "--manifest", folder / "manifest.json")
    rows = [json.loads(row) for row in lines.read_text(encoding="utf-8").splitlines()]
    assert len(records) == len(rows), (len(records), len(rows))
    for record, row in zip(records, rows):
        found = {key.removeprefix("pairs/"): value.decode() if isinstance(value, bytes) else value
                 for key, value in record.items()}
        # pandas' fast reader of JSON, which mlcroissant uses, is wrong in the last digits.
        assert all(value == row[key] or math.isclose(value, row[key], rel_tol=tolerance)
                   for key, value in found.items()), (found, row)
    print(f"{name}: valid, and {len(records)} records with the fields {', '.join(found)}")


def main():
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    with tempfile.TemporaryDirectory() as name:
        for file in ("schedule.jsonl", "schedule.parquet"):
            check(pathlib.Path(name), file, complaints)
    print("mlcroissant", importlib.metadata.version("mlcroissant"))


main()
