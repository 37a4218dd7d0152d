# SPDX-License-Identifier: Apache-2.0
"""The verdicts of benchmarks/gpu on a report, and the table of predictions in the documentation."""

import math
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks/gpu"))
import targets  # noqa: E402


def entry(case, times, floors=None, peaks=None):
    return {"case": case, "times": {name: {"median": t} for name, t in times.items()},
            "floors": floors or {}, "peak bytes": peaks or {}}


class Targets(unittest.TestCase):
    def verdict(self, report, what):
        whole = {"logits": [], "hidden": [], "log_probs": [], "row": [], **report}
        return next(row[3:] for row in targets.verdicts(whole) if row[0] == what)

    def test_documentation_has_the_predictions(self):
        page = (ROOT / "docs/measurements/gpu_predictions.md").read_text(encoding="utf-8")
        table = "\n".join(targets.predictions())
        self.assertIn(table, page, "differs from the output of benchmarks/gpu/targets.py")

    def test_time_is_compared_with_its_floor(self):
        what = "the same, unit gradient in one pass (compute capability 9.0)"
        for time, verdict in ((2.0, ("1.00", "met")), (2.2, ("1.10", "met")),
                              (2.4, ("1.20", "**missed**"))):
            logits = entry("0", {"sp2dpo, unit gradient": time},
                           {"floor": 3.0, "floor of one read": 2.0})
            self.assertEqual(self.verdict({"logits": [entry("50", {}), logits]}, what), verdict)

    def test_time_of_another_library_is_divided_by_ours(self):
        for time, verdict in ((100.0, ("1.25", "met")), (80.0, ("1.00", "**missed**"))):
            hidden = entry("0", {"sp2dpo": 80.0, "Liger": time})
            self.assertEqual(self.verdict({"hidden": [hidden]},
                                          "Liger over sp2dpo, hidden, 0 % masked"), verdict)

    def test_our_peak_memory_is_divided_by_another_librarys(self):
        what = "peak memory of sp2dpo over Liger, hidden, 50 % masked"
        for peak, verdict in ((3e9, ("0.75", "met")), (5e9, ("1.25", "**missed**")),
                              (None, ("not measured", ""))):
            hidden = entry("50", {"sp2dpo": 1, "Liger": 1}, None, {"sp2dpo": peak, "Liger": 4e9})
            self.assertEqual(self.verdict({"hidden": [hidden]}, what), verdict)

    def test_short_times_are_in_microseconds(self):
        short = entry("512", {"sp2dpo, forward, in a graph": 0.0042})
        self.assertEqual(self.verdict({"log_probs": [short]},
                                      "log-probabilities of 512 pairs, forward"), ("4.20 µs", "met"))

    def test_missing_measurements_are_neither_met_nor_missed(self):
        for report in ({}, {"logits": [entry("0", {}, {"floor": math.nan})]},
                       {"logits": [entry("0", {"sp2dpo": 1.0}, {"floor": math.nan})]}):
            what = "logits, loss and exact gradient, 16384 × 128256 bfloat16"
            self.assertEqual(self.verdict(report, what), ("not measured", ""))


if __name__ == "__main__":
    unittest.main()
