#!/usr/bin/env bash
# Sets up, builds and tests everything.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash tests/run.sh [--torch-wheel | --asan] [argument for ctest]...

  (no option)     everything, with the distribution's libtorch or the one that CMAKE_PREFIX_PATH names
  --torch-wheel   what touches libtorch, with CUDA tensors too, and Parquet; with torch 2.11.0 and pyarrow from PyPI
                  (5 GB, under build/)
  --asan          what does without libtorch, under the address and undefined-behaviour sanitizers

  bash tests/run.sh -L core               one room
  bash tests/run.sh -R Jmamp --verbose    some tests
TEXT
}

preset=ci bootstrap=() select=()
case "${1:-}" in
  --torch-wheel)
    preset=wheel bootstrap=(--torch-wheel --oracle) select=(-L 'torch|oracle|parquet')
    shift
    ;;
  --asan)
    preset=asan bootstrap=() select=(-LE 'quality|package')
    shift
    ;;
  -h | --help)
    usage
    exit 0
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=build/$preset.log
mkdir -p build

say() { printf 'run: %s\n' "$*"; }

# step <what> <command>...: says nothing more unless the command fails.
step() {
  local what=$1 start=$SECONDS
  shift
  say "$what ..."
  if ! "$@" >>"$log" 2>&1 </dev/null; then
    grep -nE -A 12 'error:|CMake Error|FAILED:' "$log" | head -n 60 || true
    tail -n 30 "$log"
    say "$what failed; all of its output is in $log"
    exit 1
  fi
  say "$what: $((SECONDS - start)) s"
}

bash cmake/bootstrap.sh ${bootstrap[@]+"${bootstrap[@]}"} </dev/null
: >"$log"
jobs=$(nproc)
step "configure build/$preset" cmake --preset "$preset"
step "build with $jobs jobs" cmake --build --preset "$preset" --parallel "$jobs"
say "test (all output: build/$preset/Testing/Temporary/LastTest.log)"
ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure \
  ${select[@]+"${select[@]}"} "$@" </dev/null
