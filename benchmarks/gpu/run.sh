#!/usr/bin/env bash
# Checks and times the CUDA kernels on this machine's GPU, and writes a report.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/gpu/run.sh [--dry-run] [--full] [--only STEPS] [--out FOLDER] [--python PYTHON]

Needs an NVIDIA GPU, nvcc, CMake, ninja, GoogleTest and a Python with torch for CUDA. It builds
sp2dpo against that torch, runs the torch-free tests of the kernels on the GPU, again under
compute-sanitizer where there is one, checks a sample of rows against float64, and times the losses
beside their peers. FOLDER (build/gpu-report) gets report.md and report.json: what was predicted
and asked for beside what was measured, times, peak memory, clocks.

  --dry-run         without a GPU: builds the same and walks through the same steps, on the CPU and
                    with tiny tensors; no figure of it means anything
  --full            the whole grid of shapes instead of the headline ones
  --only STEPS      some of build,tests,sanitizer,times [all]
  --filter TESTS    GoogleTest's filter for the runs under compute-sanitizer, which takes long [*]
  --python PYTHON   that has torch; default: build/torch-wheel/bin/python if there, else python3

A machine that cannot build (no network, no GoogleTest) takes what another one has built for it:

  bash benchmarks/gpu/run.sh --only build --architecture 90-real     # where it can be built
  bash benchmarks/gpu/run.sh --only tests,sanitizer,times            # with a copy of the tree, build/gpu in it

Peers are timed as far as PYTHON has them: liger-kernel, unsloth, quack-kernels, cut-cross-entropy, trl.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/build/gpu-report build=$root/build/gpu python= dry=no options=()
only=build,tests,sanitizer,times architecture= filter='*'
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry=yes; options+=("$1") ;;
    --full) options+=("$1") ;;
    --out | --python | --only | --architecture | --filter)
      [ $# -ge 2 ] || { echo "run: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "run: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$python" ]; then
  python=$root/build/torch-wheel/bin/python
  [ -x "$python" ] || python=python3
fi

for name in ${only//,/ }; do
  case "$name" in
    build | tests | sanitizer | times) ;;
    *) echo "run: --only knows build, tests, sanitizer and times, not '$name'" >&2; exit 2 ;;
  esac
done
wants() { [[ ",$only," == *",$1,"* ]]; }
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

mkdir -p "$out"
step "this machine"
if [ "$dry" = yes ] || [ "$only" = build ]; then
  echo "no GPU is looked for"
  architecture=${architecture:-90-real}
else
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
  architecture=${architecture:-${capability/./}-real}
fi
torch=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)')
echo "torch: $torch"

if wants build; then
  step "build"
  if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
           -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON -DCMAKE_PREFIX_PATH="$torch" -DCMAKE_CUDA_ARCHITECTURES="$architecture" \
           -DSP2DPO_WITH_CUDA=ON -DSP2DPO_WITH_ANNOTATE=OFF -DSP2DPO_WITH_IO=OFF \
           -DSP2DPO_WITH_REPORT=OFF -DSP2DPO_WITH_STATS=OFF -DSP2DPO_BUILD_TOOL=OFF \
           -DSP2DPO_BUILD_EXAMPLES=OFF -DSP2DPO_INSTALL=OFF &&
         cmake --build "$build" --target sp2dpo_torch test_cuda_on_gpu; } >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log" >&2
    echo "run: the build failed; its last lines stand above" >&2
    exit 1
  fi
fi
check=$build/tests/cuda/test_cuda_on_gpu

# Runs the tests, or names them where there is no GPU for them.
tests() {
  if [ "$dry" = yes ]; then
    "$check" --gtest_list_tests | wc -l | xargs echo "tests and suites that would run:"
  else
    "$@" "$check" --gtest_brief=1 --gtest_filter="$test_filter"
  fi
}
if wants tests; then
  step "tests on the GPU"
  test_filter='*' tests
fi
for tool in memcheck racecheck initcheck synccheck; do
  wants sanitizer || break
  step "compute-sanitizer $tool"
  if [ "$dry" = yes ] || command -v compute-sanitizer >/dev/null; then
    test_filter=$filter tests compute-sanitizer --tool "$tool" --error-exitcode 1
  else
    echo "left out: there is no compute-sanitizer"
  fi
done

wants times || exit 0
step "times"
commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
"$python" "$root/benchmarks/gpu/measure.py" "$build/src/torch/libsp2dpo_torch.so" \
  --out "$out" --commit "$commit" "${options[@]}"
echo "run: the report is $out/report.md"
