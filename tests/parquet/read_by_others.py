# SPDX-License-Identifier: Apache-2.0
"""Schedules and joined pairs, as JSON Lines and as Parquet, read by pyarrow, datasets, pandas, polars and TRL.

    python read_by_others.py <program>

Exits with 77 where one of the packages is missing.
"""

import datetime
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import datasets
    import pandas
    import polars
    import pyarrow
    import pyarrow.parquet as pq
    from trl.data_utils import is_conversational, maybe_extract_prompt
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = sys.argv[1]
N = 300


def message(role, content):
    return {"role": role, "content": content}


def make_pairs(conversational):
    rows = []
    for i in range(N):
        row = {"id": f"p{i}", "score_chosen": i / 7, "n": i, "tags": ["a", "é"][: i % 3],
               "meta": {"source": "s", "when": None if i % 2 else "2026-01-02"},
               "made": datetime.datetime(2026, 1, 2, 3, 4, i % 60)}
        if conversational:
            begin = [message("user", f"Q{i}\n\"ü\"")]
            row |= {"chosen": begin + [message("assistant", f"yes {i}")],
                    "rejected": begin + [message("assistant", "no")]}
        else:
            row |= {"prompt": f"Q{i}", "chosen": f"yes {i}", "rejected": "no"}
        rows.append(row)
    return rows


def make_annotations():
    source = random.Random(7)
    return [{"pair_id": f"p{i}", "annotator": a, "prompt": p, "category": "style",
             "magnitude": source.random(), "confidence": source.random(),
             "order": source.choice([None, "chosen_first"])}
            for i in range(N) if i != 13 for a in ("x", "y") for p in ("q", "r")]


def write_lines(path, rows, drop_none=False):
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            row = {k: v for k, v in row.items() if not (drop_none and v is None)}
            out.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def lines(path):
    with open(path, encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def run(*arguments, status=0):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == status, (arguments, done.returncode, done.stderr)
    return done.stderr


def check(what, found, expected):
    assert found == expected, f"{what}: {found!r} is not {expected!r}"


def load(kind, path):
    cache = tempfile.mkdtemp(dir=path.parent)
    return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)


def check_schedules(folder):
    rows = lines(folder / "s.jsonl")
    manifest, rows = rows[0], rows[1:]
    betas = [row["beta"] for row in rows]
    check("betas", len(betas), N)

    file = pq.ParquetFile(folder / "s.parquet")
    stored = json.loads(file.schema_arrow.metadata[b"sp2dpo.manifest"])
    for one, name in zip(stored["inputs"], ("p.parquet", "a.parquet")):
        check("hash", one["sha256"], hashlib.sha256((folder / name).read_bytes()).hexdigest())
    check("manifest", {k: v for k, v in stored.items() if k != "inputs"},
          {k: v for k, v in manifest.items() if k != "inputs"})

    table = file.read()
    check("columns", table.column_names,
          ["beta", "category", "flags", "gap", "id", "n_annotations", "n_annotators", "spread"])
    for column in table.column_names:
        check(column, table[column].to_pylist(), [row.get(column) for row in rows])
    check("pandas, Parquet", pandas.read_parquet(folder / "s.parquet")["beta"].tolist(), betas)
    check("polars, Parquet", polars.read_parquet(folder / "s.parquet")["beta"].to_list(), betas)
    check("datasets, Parquet", load("parquet", folder / "s.parquet")["beta"][:], betas)
    check("pandas, lines", pandas.read_json(folder / "rows.jsonl", lines=True,
                                            precise_float=True)["beta"].tolist(), betas)
    check("polars, lines", polars.read_ndjson(folder / "rows.jsonl")["beta"].to_list(), betas)
    check("datasets, lines", load("json", folder / "rows.jsonl")["beta"][:], betas)
    # With the manifest as its first line, a reader makes a row of it that has no beta.
    check("datasets, manifest", load("json", folder / "s.jsonl")["beta"][1:], betas)
    check("polars, manifest", polars.read_ndjson(folder / "s.jsonl", infer_schema_length=None)
          ["beta"].to_list()[1:], betas)

    # What another program wrote again is a schedule still.
    polars.read_parquet(folder / "s.parquet").write_parquet(folder / "again.parquet")
    run("report", "--schedule", folder / "again.parquet", "--high-disagreement", folder / "c.jsonl",
        "--annotations", folder / "a.parquet", "--out", folder / "r.html")
    return betas


def check_joined(folder, pairs, betas, conversational):
    before = pq.read_schema(folder / "p.parquet")
    table = pq.read_table(folder / "j.parquet")
    check("joined columns", table.column_names, before.names + ["beta", "sp2dpo"])
    for field in before:
        check("type", table.schema.field(field.name).type, field.type)
        check(field.name, table[field.name].to_pylist(), [row.get(field.name) for row in pairs])
    check("joined beta", table["beta"].to_pylist(), betas)
    check("joined type", str(table.schema.field("sp2dpo").type),
          "struct<category: string, gap: double, schedule: string>")

    frames = {"pandas": pandas.read_parquet(folder / "j.parquet")["beta"].tolist(),
              "polars": polars.read_parquet(folder / "j.parquet")["beta"].to_list(),
              "pandas, lines": pandas.read_json(folder / "j.jsonl", lines=True,
                                                precise_float=True)["beta"].tolist(),
              "polars, lines": polars.read_ndjson(folder / "j.jsonl")["beta"].to_list()}
    for what, found in frames.items():
        check(what, found, betas)
    features = datasets.Dataset.from_parquet(str(folder / "p.parquet"), cache_dir=folder / "c").features
    joined = load("parquet", folder / "j.parquet")
    for name, feature in features.items():
        check(f"feature {name}", joined.features[name], feature)
    for data in (joined, load("json", folder / "j.jsonl")):
        check("datasets", data["beta"][:], betas)
        for row, pair in zip(data, pairs):
            check("conversational", is_conversational(row), conversational)
            split = maybe_extract_prompt(dict(row))
            if conversational:
                check("prompt", split["prompt"], pair["chosen"][:1])
                check("chosen", split["chosen"], pair["chosen"][1:])
            else:
                check("prompt", split["prompt"], pair["prompt"])


def main():
    annotations = make_annotations()
    for conversational in (False, True):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            pairs = make_pairs(conversational)
            write_lines(folder / "p.jsonl", pairs)
            datasets.Dataset.from_list(pairs).to_parquet(folder / "p.parquet")
            write_lines(folder / "a.jsonl", annotations, drop_none=True)
            pandas.DataFrame(annotations).to_parquet(folder / "a.parquet")

            common = ["schedule", "--missing", "base-beta=0.1"]
            of_lines = common + ["--pairs", folder / "p.jsonl", "--annotations", folder / "a.jsonl"]
            of_parquet = common + ["--pairs", folder / "p.parquet", "--annotations", folder / "a.parquet"]
            run(*of_lines, "--out", folder / "s.jsonl", "--join", folder / "j.jsonl")
            run(*of_lines, "--out", folder / "rows.jsonl", "--manifest", folder / "m.json")
            run(*of_parquet, "--out", folder / "s.parquet", "--join", folder / "j.parquet")
            run(*of_parquet, "--out", folder / "s2.jsonl", "--join", folder / "j2.jsonl")
            check("the same schedule", lines(folder / "s2.jsonl")[1:], lines(folder / "s.jsonl")[1:])
            betas = check_schedules(folder)
            check_joined(folder, pairs, betas, conversational)
            check("lines of Parquet", [row["beta"] for row in lines(folder / "j2.jsonl")], betas)

            refused = run(*of_lines, "--out", folder / "s.jsonl", "--join", folder / "j.parquet", status=2)
            assert "requires pairs in Parquet" in refused, refused
            (folder / "cut.parquet").write_bytes((folder / "p.parquet").read_bytes()[:-9])
            refused = run(*common, "--pairs", folder / "cut.parquet", "--annotations",
                          folder / "a.parquet", "--out", folder / "s.jsonl", status=1)
            assert "cut.parquet: is damaged or not a Parquet file" in refused, refused
    print(f"{N} pairs, as text and as conversations: pyarrow {pyarrow.__version__}, datasets "
          f"{datasets.__version__}, pandas {pandas.__version__}, polars {polars.__version__}")


main()
