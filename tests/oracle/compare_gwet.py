# SPDX-License-Identifier: Apache-2.0
"""Gwet's coefficients by irrCAC: tables [units][raters] as JSON in, a list of figures out."""

import json
import sys
import warnings

import pandas as pd
from irrCAC.raw import CAC

warnings.simplefilter("ignore")
result = []
for table in json.load(sys.stdin):
    figures = {}
    for weights in ("identity", "linear", "quadratic"):
        try:
            value = CAC(pd.DataFrame(table), weights=weights, digits=15).gwet()["est"]["coefficient_value"]
            figures[weights] = float(value)
        except Exception:  # of one category only
            figures[weights] = None
    result.append(figures)
json.dump(result, sys.stdout)
