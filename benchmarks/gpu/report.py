# SPDX-License-Identifier: Apache-2.0
"""Writes the measurements of a GPU as report.json and, for readers, as report.md.

Usage: report.py FOLDER rewrites report.md from report.json; it needs no torch.
"""

import itertools
import json
import math
import pathlib
import sys

import targets

TITLES = {
    "logits": "Logits: {pairs} pairs × 2 × {length} rows × {vocab}, {dtype}, {mask} % masked",
    "hidden": "Hidden states: {pairs} pairs × 2 × {length} rows, {width} wide, {vocab} tokens, "
              "{dtype}, {mask} % masked"}
FLOORS = {
    "logits": "The floor, {floor:.3f} ms: unmasked rows read twice and all rows written, at the "
              "rate of the copy; with one read, {floor of one read:.3f} ms.",
    "hidden": "The floor, {floor:.3f} ms: the three products on the unmasked rows."}


def table(entry):
    """The times of the contenders and of the limits."""
    yield "| what | median, ms | p20 | p80 | over the floor | over sp2dpo | peak, MB |"
    yield "|---|---|---|---|---|---|---|"
    own = entry["times"].get("sp2dpo", {"median": math.nan})["median"]
    for name, t in itertools.chain(entry["times"].items(), entry.get("limits", {}).items()):
        peak = entry["peak bytes"].get(name)
        yield (f"| {name} | {t['median']:.3f} | {t['p20']:.3f} | {t['p80']:.3f} "
               f"| {t['median'] / entry['floors']['floor']:.2f} | {t['median'] / own:.2f} "
               f"| {'' if peak is None else round(peak / 1e6)} |")


def short_table(report):
    """The calls that take microseconds."""
    yield "| pairs or rows | what | median, µs | p20 | p80 |"
    yield "|---|---|---|---|---|"
    for level, unit in (("log_probs", "pairs"), ("row", "row")):
        for entry in report[level]:
            for name, t in entry["times"].items():
                yield (f"| {entry['case']} {unit} | {name} | {1e3 * t['median']:.1f} "
                       f"| {1e3 * t['p20']:.1f} | {1e3 * t['p80']:.1f} |")


def failures(entry):
    for name, reason in entry["failed"].items():
        yield f"\n{name} failed: {reason}"


def markdown(report):
    yield "# The CUDA kernels, measured\n"
    if report["machine"].get("dry run"):
        yield "**A dry run without a GPU: these figures are meaningless.**\n"
    for name, value in {**report["machine"], **report["versions"]}.items():
        yield f"* {name}: {value}"
    yield f"* clocks before and after: {'; '.join(report['clocks'])}"
    yield f"* seed of the contenders' order: {report['seed']}"
    for name, reason in report["missing"].items():
        yield f"* missing: {name}: {reason}"
    for name in report["left out"]:
        yield f"* skipped for lack of time: {name}"
    yield "\n## Predictions, goals and measurements\n"
    yield "| what | predicted | goal | measured | |"
    yield "|---|---|---|---|---|"
    for row in targets.verdicts(report):
        yield "| " + " | ".join(row) + " |"
    for level in ("logits", "hidden"):
        for entry in report[level]:
            yield f"\n## {TITLES[level].format(**entry['shape'])}\n"
            yield from table(entry)
            yield from failures(entry)
            yield "\n" + FLOORS[level].format(**entry["floors"])
            if "errors" in entry:
                yield f"Largest errors of sampled rows against float64: {entry['errors']}"
    yield f"\nLargest differences from float64 at the hidden level: {report['hidden errors']}"
    yield "\n## Log-probabilities, and one row\n"
    yield from short_table(report)
    for entry in report["log_probs"] + report["row"]:
        yield from failures(entry)


def write(folder, report):
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.md").write_text("\n".join(markdown(report)) + "\n")


if __name__ == "__main__":
    here = pathlib.Path(sys.argv[1])
    write(here, json.loads((here / "report.json").read_text()))
