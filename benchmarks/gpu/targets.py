# SPDX-License-Identifier: Apache-2.0
"""What was predicted (docs/measurements/gpu_predictions.md) and what is asked for, as ratios within one
run on an H100 or H200, beside what was measured."""

import math

# what, level, percent masked, ours over `than`, predicted range, least or most asked for
RATIOS = [
    ("logits over the floor", "logits", "0", "floor", (1.00, 1.11), ("most", 1.08)),
    ("the same, half masked", "logits", "50", "floor", (1.00, 1.13), ("most", 1.10)),
    ("hidden states over their products", "hidden", "0", "floor", (1.03, 1.07), ("most", 1.08)),
    ("the same, half masked", "hidden", "50", "floor", (1.04, 1.10), None),
]
# A peer's time over ours.
PEERS = [
    ("logits", "0", {"QuACK": 1.0, "Unsloth": 1.0, "Liger": 1.5, "torch.compile": 1.5, "eager": 7.0}),
    ("logits", "50", dict.fromkeys(("QuACK", "Unsloth", "Liger", "torch.compile", "eager"), 1.4)),
    ("hidden", "0", {"Liger": 1.2}),
    ("hidden", "50", {"Liger": 2.2}),
]
LOG_PROBS_MICROSECONDS = ((3, 6), 5)


def median(entry, name):
    if name == "floor":
        return entry["floor"]  # NaN where it could not be measured
    return entry["times"].get(name, {"median": math.nan})["median"]


def row(what, predicted, asked, measured, unit=""):
    kind, bound = asked or (None, None)
    met = "" if kind is None or math.isnan(measured) else (
        "met" if (measured <= bound if kind == "most" else measured >= bound) else "**missed**")
    text = "" if kind is None else f"{'≤' if kind == 'most' else '≥'} {bound:g}{unit}"
    guess = "" if predicted is None else f"{predicted[0]:g} to {predicted[1]:g}{unit}"
    return what, guess, text, "not measured" if math.isnan(measured) else f"{measured:.2f}{unit}", met


def first(report, level, mask):
    """The headline shape's entry: the first of its level with so much masked."""
    return next((e for e in report[level] if e["shape"]["mask"] == mask), None)


def verdicts(report):
    """Rows of cells: what, predicted, asked for, measured, met or missed."""
    for what, level, mask, than, predicted, asked in RATIOS:
        if entry := first(report, level, mask):
            yield row(what, predicted, asked, median(entry, "sp2dpo") / median(entry, than))
    for level, mask, least in PEERS:
        if entry := first(report, level, mask):
            for peer, bound in least.items():
                yield row(f"{peer} over sp2dpo, {level}, {mask} % masked", None, ("least", bound),
                          median(entry, peer) / median(entry, "sp2dpo"))
    predicted, most = LOG_PROBS_MICROSECONDS
    for entry in report["log_probs"]:
        if entry["pairs"] <= 4096:
            yield row(f"log-probabilities of {entry['pairs']} pairs, forward", predicted,
                      ("most", most), 1e3 * median(entry, "sp2dpo, forward alone"), " µs")
