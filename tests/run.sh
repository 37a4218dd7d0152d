#!/usr/bin/env bash
# Sets up, builds and tests everything, or one part of it.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash tests/run.sh [LANE] [argument for ctest]...

  (no lane)       everything, with the distribution's libtorch or the one that CMAKE_PREFIX_PATH names
  --room ROOM     the tests of one room, and only what they need: core, io, stats, report, annotate,
                  tool, text, args, cpu, cuda, ptx or torch. The first three take less than a minute
  --torch-wheel   what uses libtorch, with CUDA tensors too, and Parquet; with torch 2.11.0 and pyarrow
                  from PyPI (5 GB, under build/)
  --asan          what needs no libtorch, under the address and undefined-behaviour sanitizers
  --debian13      everything, in a Debian 13 under build/debian13 (2 GB; needs root and debootstrap)
  --compilers     the library alone, warnings as errors, with g++ 12, clang 14 and clang 19, and with
                  g++ 14 in that Debian 13

  bash tests/run.sh -L io                 all tests with a label
  bash tests/run.sh --room core -R Jmamp  some tests of one room

SP2DPO_SHARED_DATA names a folder with real pairs and judgments. The tests that need it are skipped
without it.
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=ci bootstrap=() select=() target=()
case "${1:-}" in
  --room)
    [ -n "${2:-}" ] || { usage >&2; exit 2; }
    target=(--target "tests_$2") select=(-L "^$2\$" -LE 'quality|package')
    shift 2
    ;;
  --torch-wheel)
    preset=wheel bootstrap=(--torch-wheel --oracle) select=(-L 'torch|oracle|parquet')
    shift
    ;;
  --asan)
    preset=asan select=(-LE 'quality|package')
    shift
    ;;
  --debian13)
    shift
    exec bash tests/debian13.sh bash tests/run.sh "$@"
    ;;
  --compilers)
    shift
    exec bash tests/compilers.sh "$@"
    ;;
  -h | --help)
    usage
    exit 0
    ;;
esac

log=build/$preset.log
mkdir -p build

say() { printf 'run: %s\n' "$*"; }

# step <what> <command>...: prints the command's output only if it fails.
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
step "build with $jobs jobs" cmake --build --preset "$preset" --parallel "$jobs" \
  ${target[@]+"${target[@]}"}
output=build/$preset/Testing/Temporary/LastTest.log
say "test (all output: $output)"
status=0
ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure \
  ${select[@]+"${select[@]}"} "$@" </dev/null || status=$?
skipped=$(grep -cE '^needs .* in SP2DPO_SHARED_DATA$' "$output" || true)
[ "$skipped" = 0 ] || say "$skipped tests were skipped because SP2DPO_SHARED_DATA names no data"
exit "$status"
