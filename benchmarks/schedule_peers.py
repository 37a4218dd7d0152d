# SPDX-License-Identifier: Apache-2.0
"""Computes the schedule of `sp2dpo schedule` (jmamp, linear) with polars or pandas, or compares all.

    python3 schedule_peers.py polars|pandas PAIRS ANNOTATIONS OUT
    python3 schedule_peers.py compare PROGRAM DIR [--repeats 7]

`compare` alternates whole processes and prints medians of time and peak memory.
"""

import json
import os
import pathlib
import statistics
import sys
import time

LOW, HIGH = 0.03, 0.3


def polars(pairs, annotations, out):
    import polars as pl

    sign = (
        pl.when(pl.col("preferred") == "rejected").then(-1.0)
        .when(pl.col("preferred") == "tie").then(0.0)
        .otherwise(1.0)
    )
    gaps = (
        pl.scan_ndjson(annotations)
        .select(
            "pair_id", "annotator", "prompt",
            (sign * pl.col("magnitude") * pl.col("confidence")).alias("gap"),
        )
        .group_by("pair_id", "annotator", "prompt").agg(pl.col("gap").mean())
        .group_by("pair_id", "annotator").agg(pl.col("gap").median())
        .group_by("pair_id").agg(pl.col("gap").mean())
    )
    (
        pl.scan_ndjson(pairs)
        .select("id")
        .join(gaps, left_on="id", right_on="pair_id", how="left", maintain_order="left")
        .with_columns((LOW + (HIGH - LOW) * pl.col("gap").clip(0, 1)).alias("beta"))
        .collect()
        .write_ndjson(out)
    )


def pandas(pairs, annotations, out):
    import pandas as pd

    rows = pd.read_json(annotations, lines=True)
    sign = rows["preferred"].map({"chosen": 1.0, "rejected": -1.0, "tie": 0.0})
    rows["gap"] = sign * rows["magnitude"] * rows["confidence"]
    answers = rows.groupby(["pair_id", "annotator", "prompt"])["gap"].mean()
    gaps = answers.groupby(level=["pair_id", "annotator"]).median().groupby(level="pair_id").mean()
    table = pd.read_json(pairs, lines=True)[["id"]].merge(
        gaps.rename("gap"), left_on="id", right_index=True, how="left"
    )
    table["beta"] = LOW + (HIGH - LOW) * table["gap"].clip(0, 1)
    table.to_json(out, orient="records", lines=True)


def measured(command):
    """Wall-clock seconds and peak MB of a process."""
    start = time.perf_counter()
    pid = os.posix_spawnp(
        command[0], command, os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{command} failed")
    return seconds, usage.ru_maxrss / 1024


def betas(path):
    with open(path) as rows:
        values = [json.loads(row) for row in rows]
    return {row["id"]: row["beta"] for row in values if "id" in row}


def compare(program, folder, repeats):
    folder = pathlib.Path(folder)
    pairs, annotations = str(folder / "pairs.jsonl"), str(folder / "annotations.jsonl")
    commands = {
        "sp2dpo": [program, "schedule", "--pairs", pairs, "--annotations", annotations, "--out"],
        "polars": [sys.executable, __file__, "polars", pairs, annotations],
        "pandas": [sys.executable, __file__, "pandas", pairs, annotations],
    }
    outputs = {name: str(folder / f"{name}.jsonl") for name in commands}
    runs = {name: [] for name in commands}
    for name, command in commands.items():  # warms the page cache
        measured(command + [outputs[name]])
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(measured(command + [outputs[name]]))

    ours = betas(outputs["sp2dpo"])
    median = {
        name: [statistics.median(run[i] for run in found) for i in (0, 1)]
        for name, found in runs.items()
    }
    print(f"{'':8}{'seconds':>9}{'(range)':>16}{'MB':>8}{'time':>8}{'memory':>8}  largest difference")
    for name, found in runs.items():
        seconds, megabytes = median[name]
        theirs = betas(outputs[name])
        difference = max(abs(theirs[pair] - ours[pair]) for pair in ours)
        times = f"{min(run[0] for run in found):.2f} - {max(run[0] for run in found):.2f}"
        print(
            f"{name:8}{seconds:9.3f}{times:>16}{megabytes:8.0f}"
            f"{seconds / median['sp2dpo'][0]:7.1f}x{megabytes / median['sp2dpo'][1]:7.1f}x"
            f"  {difference:.1e}"
        )


if __name__ == "__main__":
    if len(sys.argv) >= 5 and sys.argv[1] in ("polars", "pandas"):
        {"polars": polars, "pandas": pandas}[sys.argv[1]](*sys.argv[2:5])
    elif len(sys.argv) in (4, 6) and sys.argv[1] == "compare":
        compare(sys.argv[2], sys.argv[3], int(sys.argv[5]) if len(sys.argv) == 6 else 7)
    else:
        sys.exit(__doc__)
