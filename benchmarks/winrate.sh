#!/usr/bin/env bash
# Compares `sp2dpo winrate` with scikit-learn's LogisticRegressionCV, and a single fit with its own.
#
#   bash benchmarks/winrate.sh [PROGRAM]     default: build/ci/bin/sp2dpo
#
# Installs scikit-learn from PyPI into build/oracle-statistics, the environment of
# tests/oracle/statistics.sh. The data are synthetic, of AlpacaEval's size: 805 instructions and
# 1610 gamed rows.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${1:-build/ci/bin/sp2dpo}
[ -x "$program" ] || { echo "winrate: missing program $program" >&2; exit 2; }
bash tests/oracle/statistics.sh --install
# The program that times the fit alone.
fit=build/benchmark-winrate
{
  cmake -S . -B "$fit" -DCMAKE_BUILD_TYPE=Release -DSP2DPO_WITH_CPU=OFF -DSP2DPO_WITH_IO=OFF \
    -DSP2DPO_WITH_REPORT=OFF -DSP2DPO_WITH_ANNOTATE=OFF -DSP2DPO_WITH_TORCH=OFF -DSP2DPO_WITH_CUDA=OFF \
    -DSP2DPO_BUILD_TOOL=OFF -DSP2DPO_BUILD_EXAMPLES=OFF -DSP2DPO_BUILD_TESTS=OFF \
    -DSP2DPO_BUILD_BENCHMARKS=ON
  cmake --build "$fit" --target benchmark_win_rate
} >&2
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
  build/oracle-statistics/bin/python benchmarks/winrate.py "$program" "$fit/benchmarks/stats/benchmark_win_rate"
