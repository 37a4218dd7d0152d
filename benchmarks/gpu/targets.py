# SPDX-License-Identifier: Apache-2.0
"""Compares measurements with the predictions and goals of targets.csv.

    targets.py    prints the predictions as the table of docs/measurements/gpu_predictions.md

A row of targets.csv is a ratio within one run, `of` over `over`, on the headline shape (`case`: the
percentage masked, or the number of pairs or rows). If `over` is empty, it is the time of `of`.
`h200_ms` is the predicted time of `over` on an H200.
"""

import csv
import math
import pathlib

SCALE = {"µs": 1e3, "": 1.0}  # times in milliseconds, by unit


def read():
    with open(pathlib.Path(__file__).with_name("targets.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def value(entry, measure, name):
    """NaN if it is missing from the report."""
    found = entry.get("floors", {}).get(name)
    if found is None:
        found = entry[measure].get(name)
    if isinstance(found, dict):
        found = found["median"]
    return math.nan if found is None else found


def measured(report, row):
    entry = next((e for e in report[row["level"]] if e["case"] == row["case"]), None)
    if entry is None:
        return math.nan
    whole = value(entry, row["measure"], row["of"])
    if not row["over"]:
        return whole * SCALE[row["unit"]]
    return whole / (value(entry, row["measure"], row["over"]) or math.nan)


def described(row):
    if row["what"]:
        return row["what"]
    subject = row["of"] if row["measure"] == "times" else f"peak memory of {row['of']}"
    return f"{subject} over {row['over']}, {row['level']}, {row['case']} % masked"


def asked(row):
    return row["asked"] and f"{'≤' if row['asked'] == 'most' else '≥'} {row['bound']} {row['unit']}".rstrip()


def predicted(row):
    return row["low"] and f"{row['low']} to {row['high']} {row['unit']}".rstrip()


def verdict(row, got):
    if not row["asked"] or math.isnan(got):
        return ""
    bound = float(row["bound"])
    return "met" if (got <= bound if row["asked"] == "most" else got >= bound) else "**missed**"


def verdicts(report):
    """Rows of cells: what, predicted, goal, measured, met or missed."""
    for row in read():
        got = measured(report, row)
        shown = "not measured" if math.isnan(got) else f"{got:.2f} {row['unit']}".rstrip()
        yield described(row), predicted(row), asked(row), shown, verdict(row, got)


def predictions():
    """The lines of the table in the documentation."""
    yield "| what | predicted | on an H200 | goal | why |"
    yield "|---|---|---|---|---|"
    for row in read():
        if not row["low"]:
            continue
        range_ = "" if not row["h200_ms"] else " to ".join(
            f"{float(row[end]) * float(row['h200_ms']):.3g}" for end in ("low", "high")) + " ms"
        cells = row["what"], predicted(row), range_, asked(row), row["why"]
        yield "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print("\n".join(predictions()))
