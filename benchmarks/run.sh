#!/usr/bin/env bash
# Sets up, builds and runs the benchmarks of the loss against eager libtorch.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/run.sh [--quick] [--out FILE.json] [--only REGEX] [--torch-wheel]

  --quick         six shapes and two numbers of pairs, two minutes at most; without it, every shape,
                  more than an hour
  --out FILE      besides the table, one JSON object a row, one a line
  --only REGEX    of the shapes, those whose names match: level2/bfloat16/P4/R512/V32000/H0/mask50
  --torch-wheel   with torch 2.11 from PyPI (as cmake/bootstrap.sh) instead of the libtorch found
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/benchmarks
bootstrap=() configure=() options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) options+=("$1") ;;
    --out | --only)
      [ $# -ge 2 ] || { echo "run: $1 needs a value" >&2; exit 2; }
      options+=("$1" "$2")
      shift ;;
    --torch-wheel)
      build=$root/build/benchmarks-wheel
      bootstrap=(--torch-wheel)
      configure=("-DCMAKE_PREFIX_PATH=$root/build/torch-wheel/torch") ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

bash "$root/cmake/bootstrap.sh" "${bootstrap[@]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${configure[@]}" \
         -DSP2DPO_WITH_IO=OFF -DSP2DPO_WITH_REPORT=OFF -DSP2DPO_WITH_CUDA=OFF \
         -DSP2DPO_BUILD_TOOL=OFF -DSP2DPO_BUILD_EXAMPLES=OFF -DSP2DPO_BUILD_TESTS=OFF \
         -DSP2DPO_BUILD_BENCHMARKS=ON -DSP2DPO_INSTALL=OFF &&
       cmake --build "$build" --target benchmark_torch; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "run: the build failed; its last lines stand above" >&2
  exit 1
fi
"$build/benchmarks/torch/benchmark_torch" "${options[@]}"
