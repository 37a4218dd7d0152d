# SPDX-License-Identifier: Apache-2.0
"""Times length-controlled win rates, sp2dpo and scikit-learn. Run by winrate.sh."""

import csv
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GroupKFold

warnings.simplefilter("ignore")
PROGRAM, FIT = sys.argv[1:]
N, MODELS, C = 805, 20, 21.5443469


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def make_models(random, difficulty):
    """[models] of (lengths of the baseline, of the model, preferences - 1)."""
    baseline = random.integers(200, 4000, N)
    models = []
    for _ in range(MODELS):
        lengths = np.maximum(1, baseline * random.normal(random.uniform(0.5, 1.5), 0.4, N)).astype(int)
        x = np.tanh((baseline - lengths) / np.std(baseline - lengths, ddof=1))
        z = -1.2 * x + 0.7 * difficulty + random.normal(-0.5, 1) + random.normal(0, 1.5, N)
        models.append((baseline, lengths, sigmoid(z)))
    return models


def weighted_rows(features, wins, weights):
    """A soft label becomes one row per class, as in AlpacaEval."""
    return (np.vstack([features, features]), np.repeat([1, 0], len(wins)),
            np.concatenate([weights * wins, weights * (1 - wins)]))


def features_of(model, difficulty, gamed):
    baseline, lengths, wins = model
    difference = baseline - lengths
    own = np.column_stack([np.tanh(difference / np.std(difference, ddof=1)), difficulty, np.ones(N)])
    features = np.vstack([own, np.column_stack([gamed[:, :2], np.zeros(len(gamed))])])
    return (features, np.concatenate([wins, gamed[:, 2]]),
            np.concatenate([np.ones(N), np.full(len(gamed), 0.1)]))


def by_cross_validation(features, wins, weights):
    x, y, w = weighted_rows(features, wins, weights)
    groups = np.tile(np.arange(len(wins)), 2)
    model = LogisticRegressionCV(
        Cs=10, cv=list(GroupKFold(5).split(x, y, groups)), penalty="l1", solver="liblinear",
        fit_intercept=False, random_state=123, scoring="neg_log_loss")
    return model.fit(x, y, sample_weight=w).coef_[0]


def by_one_fit(features, wins, weights):
    x, y, w = weighted_rows(features, wins, weights)
    model = LogisticRegression(C=C, penalty="l1", solver="liblinear", fit_intercept=False,
                               random_state=123, tol=1e-10, max_iter=10000)
    return model.fit(x, y, sample_weight=w).coef_[0]


def rate(weights, difficulty):
    return 100 * sigmoid(weights[2] + weights[1] * difficulty).mean()


def timed(work):
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def main():
    random = np.random.default_rng(7)
    difficulty = random.normal(0, 1.3, N)
    gamed = np.column_stack([np.tanh(random.normal(0, 1, 2 * N)), np.tile(difficulty, 2),
                             random.random(2 * N)])
    models = make_models(random, difficulty)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(folder / "d.csv", ["index", "difficulty"], enumerate(difficulty))
        write(folder / "g.csv", ["tanh_std_delta_len", "difficulty", "pseudo_preference"], gamed)

        def program(some):
            write(folder / "p.csv", ["model", "index", "len_baseline", "len_model", "preference"],
                  [(f"m{m}", i, b, l, 1 + p) for m, model in some
                   for i, (b, l, p) in enumerate(zip(*model))])
            command = [PROGRAM, "winrate", "--preferences", folder / "p.csv", "--difficulty",
                       folder / "d.csv", "--gamed", folder / "g.csv", "--json", folder / "o.json"]
            seconds = statistics.median(
                timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))[0]
                for _ in range(9))
            found = json.loads((folder / "o.json").read_text())
            return seconds, {row["model"]: row["lc_win_rate"] for row in found}

        whole, ours = program(list(enumerate(models)))
        start, _ = program([(0, models[0])])
        np.savetxt(folder / "gamed", gamed, fmt="%.17g")
        for m, (baseline, lengths, wins) in enumerate(models):
            np.savetxt(folder / f"model{m}", np.column_stack([baseline, lengths, wins, difficulty]),
                       fmt="%.17g")
        alone = subprocess.run([FIT, str(C), folder / "gamed", *(folder / f"model{m}" for m in range(MODELS))],
                               check=True, capture_output=True, text=True).stdout.splitlines()
    own_fit, own_rates = np.array([line.split() for line in alone], dtype=float).T
    apart = max(abs(rate - ours[f"m{m}"]) for m, rate in enumerate(own_rates))
    assert apart < 1e-6, apart
    cross, single, worst = [], [], 0
    for m, model in enumerate(models):
        data = features_of(model, difficulty, gamed)
        cross.append(timed(lambda: by_cross_validation(*data))[0])
        repeated = [timed(lambda: by_one_fit(*data)) for _ in range(9)]
        single.append(statistics.median(seconds for seconds, _ in repeated))
        weights = repeated[0][1]
        worst = max(worst, abs(rate(weights, difficulty) - ours[f"m{m}"]))

    # The cost of one more model: reading its rows, and the fit.
    ours_each = (whole - start) / (MODELS - 1)
    print(f"{'':<58}{'ms per model':>12}{'ratio':>9}")
    for what, seconds in (
            (f"sp2dpo winrate, {MODELS} models in one process", whole / MODELS),
            ("sp2dpo winrate, one more model: reading its rows, the fit", ours_each),
            ("sp2dpo winrate, one model in one process", start),
            ("sp2dpo, one fit, without reading", statistics.median(own_fit)),
            ("LogisticRegressionCV, without reading", statistics.median(cross)),
            ("LogisticRegression, one fit at the same C", statistics.median(single))):
        print(f"{what:<58}{1e3 * seconds:>12.2f}{seconds / (whole / MODELS):>9.1f}")
    print(f"largest difference from the single fit's win rate: {worst:.1e} points")


main()
