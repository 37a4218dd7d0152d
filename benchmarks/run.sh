#!/usr/bin/env bash
# Sets up, builds and runs the benchmarks of the loss, against eager libtorch and other libraries.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/run.sh [--quick] [--out FILE.json] [--only REGEX] [--torch-wheel | --peers]

  --quick         six shapes and two numbers of pairs, in at most two minutes; by default every
                  shape, in more than an hour
  --out FILE      also write one JSON object per row of the table, one per line
  --only REGEX    only shapes whose names match: level2/bfloat16/P4/R512/V32000/H0/mask50
  --torch-wheel   use torch 2.11 from PyPI (see cmake/bootstrap.sh)
  --peers         instead, compare with TRL, Liger-Kernel and torch.compile in Python with torch
                  2.11, peak memory included; accepts --quick and --out
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/benchmarks
bootstrap=() configure=() options=() target=benchmark_torch
wheel() {
  build=$root/build/benchmarks-wheel
  bootstrap=(--torch-wheel "$@")
  configure=("-DCMAKE_PREFIX_PATH=$root/build/torch-wheel/torch")
}
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) options+=("$1") ;;
    --out | --only)
      [ $# -ge 2 ] || { echo "run: $1 needs a value" >&2; exit 2; }
      options+=("$1" "$2")
      shift ;;
    --torch-wheel) wheel ;;
    --peers)
      wheel --oracle
      target=sp2dpo_torch ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

bash "$root/cmake/bootstrap.sh" "${bootstrap[@]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${configure[@]}" \
         -DSP2DPO_WITH_ANNOTATE=OFF -DSP2DPO_WITH_IO=OFF -DSP2DPO_WITH_REPORT=OFF \
         -DSP2DPO_WITH_STATS=OFF -DSP2DPO_WITH_CUDA=OFF \
         -DSP2DPO_BUILD_TOOL=OFF -DSP2DPO_BUILD_EXAMPLES=OFF -DSP2DPO_BUILD_TESTS=OFF \
         -DSP2DPO_BUILD_BENCHMARKS=ON -DSP2DPO_INSTALL=OFF &&
       cmake --build "$build" --target "$target"; } >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "run: the build failed; its last lines are above" >&2
  exit 1
fi
if [ "$target" = sp2dpo_torch ]; then
  exec "$root/build/torch-wheel/bin/python" "$root/benchmarks/peers.py" \
    "$build/src/torch/libsp2dpo_torch.so" "${options[@]}"
fi
"$build/benchmarks/torch/benchmark_torch" "${options[@]}"
