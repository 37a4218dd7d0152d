# SPDX-License-Identifier: Apache-2.0
"""sp2dpo's statistics beside those of independent packages, on random tables.

Run by statistics.sh. Prints the largest difference of each figure, and fails where one exceeds the
digits that the package gives.
"""

import csv
import itertools
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import warnings

import krippendorff
import numpy as np
import pandas as pd
import pingouin
import scipy.stats
import sklearn.calibration
import sklearn.isotonic
import sklearn.metrics
from crowdkit.aggregation import DawidSkene
from statsmodels.stats import inter_rater

for column in ("round.column.CI95%", "round.column.CI95"):
    pingouin.options[column] = None  # two digits otherwise
PROGRAM, IRRCAC = sys.argv[1:3]
TOLERANCE = 1e-9
differences = {}  # by figure: (largest difference, tables compared)
allowed = {}


def compare(figure, ours, theirs, tolerance=TOLERANCE):
    """Both undefined, or equal within the tolerance."""
    if theirs is not None and not math.isfinite(theirs):
        theirs = None
    if ours is None or theirs is None:
        if ours is None and theirs is None:
            return
        # Where all raters say the same, packages give 1, 0 or nothing; we say that it is undefined.
        differences.setdefault(figure + ", defined for one side only", [0, 0])[1] += 1
        return
    largest = differences.setdefault(figure, [0, 0])
    largest[0] = max(largest[0], abs(ours - theirs))
    largest[1] += 1
    allowed[figure] = tolerance


def agree(folder, table):
    """The JSON of `sp2dpo agree` for a table [units, raters] with NaN for missing cells."""
    with open(folder / "r.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["unit", "rater", "value"])
        for (unit, rater), value in np.ndenumerate(table):
            rows.writerow([f"u{unit}", f"r{rater}", "" if np.isnan(value) else repr(float(value))])
    subprocess.run([PROGRAM, "agree", "--ratings", folder / "r.csv", "--json", folder / "o.json",
                    "--replicates", "0"], check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "o.json").read_text())


def alpha(table, level):
    try:
        return krippendorff.alpha(reliability_data=table.T, level_of_measurement=level)
    except ValueError:
        return None


def of_pairs(ours, figure, table, statistic):
    for row in ours[figure]:
        a, b = (table[:, int(row[side][1:])] for side in "ab")
        both = ~np.isnan(a) & ~np.isnan(b)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compare(figure, row["value"], statistic(a[both], b[both]) if both.sum() > 1 else None)


def random_table(random):
    units, raters, categories = random.integers(5, 60), random.integers(2, 7), random.integers(2, 7)
    truth = random.integers(1, categories + 1, units)
    table = np.where(random.random((units, raters)) < random.random(), truth[:, None],
                     random.integers(1, categories + 1, (units, raters))).astype(float)
    if random.random() < 0.6:
        table[random.random(table.shape) < 0.2] = np.nan
    return table


def nominal_and_ordinal(folder, random):
    tables = []
    for _ in range(150):
        table = random_table(random)
        ours = agree(folder, table)
        for level in ("nominal", "ordinal", "interval", "ratio"):
            compare("krippendorff_alpha." + level, ours["krippendorff_alpha"][level]["value"],
                    alpha(table, level))
        if not np.isnan(table).any():
            counts = inter_rater.aggregate_raters(table)[0]
            compare("fleiss_kappa", ours["fleiss_kappa"]["value"],
                    inter_rater.fleiss_kappa(counts) if counts.shape[1] > 1 else None)
        of_pairs(ours, "cohen_kappa", table, sklearn.metrics.cohen_kappa_score)
        of_pairs(ours, "spearman", table, lambda a, b: scipy.stats.spearmanr(a, b).statistic)
        of_pairs(ours, "kendall_tau_b", table, lambda a, b: scipy.stats.kendalltau(a, b).statistic)
        tables.append((table, ours))
    # irrCAC lives in an environment of its own.
    answers = subprocess.run(
        [IRRCAC, pathlib.Path(__file__).with_name("compare_gwet.py")], text=True, check=True,
        stdout=subprocess.PIPE,
        input=json.dumps([[[None if np.isnan(x) else x for x in row] for row in table]
                          for table, _ in tables]))
    for (_, ours), theirs in zip(tables, json.loads(answers.stdout)):
        compare("gwet_ac1", ours["gwet_ac1"]["value"], theirs["identity"], 1e-9)
        for weights in ("linear", "quadratic"):
            compare("gwet_ac2." + weights, ours["gwet_ac2"][weights]["value"], theirs[weights], 1e-9)


def continuous(folder, random):
    for _ in range(100):
        units, raters = random.integers(4, 50), random.integers(2, 7)
        table = (random.normal(size=(units, 1)) * random.random() + random.normal(size=raters)
                 + random.normal(size=(units, raters)))
        ours = agree(folder, table)
        compare("krippendorff_alpha.interval", ours["krippendorff_alpha"]["interval"]["value"],
                alpha(table, "interval"))
        compare("krippendorff_alpha.ordinal", ours["krippendorff_alpha"]["ordinal"]["value"],
                alpha(table, "ordinal"))
        long = pd.DataFrame([(u, r, table[u, r]) for u, r in np.ndindex(*table.shape)],
                            columns=["unit", "rater", "value"])
        theirs = pingouin.intraclass_corr(long, "unit", "rater", "value")
        interval = next(column for column in theirs.columns if column.startswith("CI95"))
        for row, form in zip(range(6), ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k")):
            compare("icc." + form, ours["icc"][form]["value"], theirs["ICC"].iloc[row])
            for end in (0, 1):
                if ours["icc"][form]["ci"]:
                    compare("icc interval", ours["icc"][form]["ci"][end],
                            float(theirs[interval].iloc[row][end]))
        of_pairs(ours, "spearman", table, lambda a, b: scipy.stats.spearmanr(a, b).statistic)
        of_pairs(ours, "kendall_tau_b", table, lambda a, b: scipy.stats.kendalltau(a, b).statistic)


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def schedule(folder, ids, annotations, *options):
    write_lines(folder / "p.jsonl", [dict(id=i, prompt="p", chosen="c", rejected="r") for i in ids])
    write_lines(folder / "a.jsonl", annotations)
    subprocess.run([PROGRAM, "schedule", "--pairs", folder / "p.jsonl", "--annotations",
                    folder / "a.jsonl", "--out", folder / "s.jsonl", *options], check=True,
                   stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (folder / "s.jsonl").read_text().splitlines()]
    return {row["id"]: row for row in rows[1:]}


def calibration(folder, random):
    for _ in range(20):
        n = int(random.integers(30, 300))
        score = np.round(random.random(n), 2) * 0.98 + 0.01
        right = (random.random(n) < 0.2 + 0.7 * score).astype(float)
        ids = [f"p{i}" for i in range(n)]
        annotations = [dict(pair_id=i, annotator="a", prompt="p", category="style", magnitude=float(s),
                            confidence=1) for i, s in zip(ids, score)]
        (folder / "g.csv").write_text("pair_id,preferred\n" + "".join(
            f"{i},{'chosen' if r else 'rejected'}\n" for i, r in zip(ids, right)))
        for method in ("isotonic", "platt"):
            rows = schedule(folder, ids, annotations, "--gold", folder / "g.csv", "--calibration", method)
            ours = np.array([(1 + rows[i]["gap"]) / 2 for i in ids])
            if method == "isotonic":
                theirs = sklearn.isotonic.IsotonicRegression(out_of_bounds="clip").fit_transform(score, right)
                tolerance = TOLERANCE
            else:
                a, b = sklearn.calibration._sigmoid_calibration(score, right)
                theirs = 1 / (1 + np.exp(a * score + b))
                tolerance = 1e-6  # L-BFGS stops early
            compare(method, float(np.abs(ours - theirs).max()), 0.0, tolerance)


def categories(folder, random):
    names = ["safety", "factuality", "instruction", "reasoning", "helpfulness", "style"]
    for _ in range(10):
        truth = random.integers(0, 4, 200)
        skill = random.uniform(0.4, 0.9, 5)
        annotations, votes = [], []
        for i, category in enumerate(truth):
            for worker in range(5):
                label = category if random.random() < skill[worker] else random.integers(0, 4)
                annotations.append(dict(pair_id=f"p{i}", annotator=f"w{worker}", prompt="p",
                                        category=names[label], magnitude=0.5, confidence=1))
                votes.append((f"p{i}", f"w{worker}", names[label]))
        ids = [f"p{i}" for i in range(len(truth))]
        rows = schedule(folder, ids, annotations, "--aggregator", "dawid-skene")
        theirs = DawidSkene(n_iter=2000, tol=1e-14).fit_predict(
            pd.DataFrame(votes, columns=["task", "worker", "label"]))
        other = sum(rows[i]["category"] != theirs[i] for i in ids)
        compare("dawid-skene, share of other categories", other / len(ids), 0.0, 0.005)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random = np.random.default_rng(2026)
        for part in (nominal_and_ordinal, continuous, calibration, categories):
            part(folder, random)
    failed = False
    for figure, (largest, count) in sorted(differences.items()):
        bad = largest > allowed.get(figure, 0)
        failed |= bad
        print(f"{figure:<45} {count:>6} compared, largest difference {largest:.1e}{'  TOO LARGE' if bad else ''}")
    sys.exit(int(failed))


main()
