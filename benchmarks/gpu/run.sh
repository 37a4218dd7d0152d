#!/usr/bin/env bash
# Checks and times the CUDA kernels on this machine's GPU, and writes a report.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/gpu/run.sh [--dry-run] [--full] [--only STEPS] [--out FOLDER] [--python PYTHON]

Needs an NVIDIA GPU, nvcc, CMake, ninja, fmt, Highway, GoogleTest and a Python with torch for CUDA. It
builds sp2dpo against that torch, runs the torch-free kernel tests on the GPU, repeats some of them
under compute-sanitizer, checks a sample of rows against float64, and times the losses beside those
of other libraries. It writes report.md and report.json to FOLDER (build/gpu-report): measurements
beside predictions and goals, times, peak memory, clocks.

The steps, in order. With --only, each can be run on its own:

  build       about 4 minutes on 16 cores
  tests       about 1 minute, at most 5
  sanitizer   about 6 minutes: the tests of sanitizer_tests.txt run each kernel with each element
              type under each of four tools, at most 100 s per tool
  times       about 6 minutes; starts nothing new after 8 (even with --full); --resume continues
  report      writes report.md from report.json; needs no GPU

  --dry-run         needs no GPU: runs the same build and steps on the CPU with tiny tensors; its
                    figures are meaningless
  --full            all shapes instead of the headline ones, and all tests under the sanitizer
                    without a time limit
  --only STEPS      run these steps, separated by commas
  --filter TESTS    GoogleTest filter for the runs under compute-sanitizer
  --levels LEVELS   levels to time, of log_probs,row,logits,hidden
  --resume          add missing measurements to the report in FOLDER
  --python PYTHON   a Python with torch; default: build/torch-wheel/bin/python, else python3
  --packages TREE   where fmt, Highway and GoogleTest are, unless installed [build/gpu-packages]

For a machine without these packages, collect them on a Debian machine that has them:

  bash benchmarks/gpu/run.sh --only packages                # writes 7 MB to build/gpu-packages
  bash benchmarks/gpu/run.sh --only build,tests,sanitizer   # on the other machine, with that tree

Other libraries are timed if PYTHON has them: liger-kernel, unsloth, quack-kernels,
cut-cross-entropy, trl.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/build/gpu-report build=$root/build/gpu packages=$root/build/gpu-packages
python= dry=no full=no options=() only=build,tests,sanitizer,times,report architecture= filter=
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry=yes; options+=("$1") ;;
    --full) full=yes; options+=("$1") ;;
    --resume) options+=("$1") ;;
    --out | --python | --only | --architecture | --filter | --levels | --packages)
      [ $# -ge 2 ] || { echo "run: $1 needs a value" >&2; exit 2; }
      if [ "$1" = --levels ]; then options+=("$1" "$2"); else declare "${1#--}=$2"; fi
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
if [ -z "$filter" ]; then
  [ "$full" = yes ] && filter='*' || filter=$(paste -sd: "$here/sanitizer_tests.txt")
fi

declare -A minutes=([packages]=1 [build]=4 [tests]=1 [sanitizer]=6 [times]=6 [report]=0)
total=0
for name in ${only//,/ }; do
  [ -n "${minutes[$name]+known}" ] || {
    echo "run: --only: expected packages, build, tests, sanitizer, times or report, got '$name'" >&2
    exit 2
  }
  total=$((total + minutes[$name]))
done
wants() { [[ ",$only," == *",$1,"* ]]; }
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
about() { echo "$1, about ${minutes[$1]} min"; }

mkdir -p "$out"
step "$only: about $total min"

if wants packages; then
  step "$(about packages)"
  mapfile -t names < <(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' \
    'libfmt*' 'libhwy*' libgtest-dev libgmock-dev | sed -n 's/^ii *//p')
  mkdir -p "$packages"
  dpkg -L "${names[@]}" | sort -u | grep -v '/share/' | while read -r file; do
    [ -d "$file" ] || echo "${file#/}"
  done | tar -C / -c -T - | tar -C "$packages" -x
  du -sh "$packages"
  [ "$only" != packages ] || exit 0
fi

if [ "$dry" = yes ] || [[ ,build,report,packages, == *",$only,"* ]]; then
  echo "does not look for a GPU"
  architecture=${architecture:-90-real}
else
  nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
  architecture=${architecture:-${capability/./}-real}
fi

if wants build; then
  step "$(about build)"
  torch=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)')
  echo "torch: $torch"
  prefixes=$torch
  [ ! -d "$packages/usr" ] || prefixes="$packages/usr;$torch"
  if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
           -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON "-DCMAKE_PREFIX_PATH=$prefixes" -DCMAKE_CUDA_ARCHITECTURES="$architecture" \
           -DSP2DPO_WITH_CUDA=ON -DSP2DPO_WITH_ANNOTATE=OFF -DSP2DPO_WITH_IO=OFF \
           -DSP2DPO_WITH_REPORT=OFF -DSP2DPO_WITH_STATS=OFF -DSP2DPO_BUILD_TOOL=OFF \
           -DSP2DPO_BUILD_EXAMPLES=OFF -DSP2DPO_INSTALL=OFF &&
         cmake --build "$build" --target sp2dpo_torch test_cuda_on_gpu; } >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log" >&2
    echo "run: the build failed; its last lines are above" >&2
    exit 1
  fi
fi
check=$build/tests/cuda/test_cuda_on_gpu

# tests FILTER SECONDS [TOOL...]: runs the tests; a dry run counts them instead.
tests() {
  local filter=$1 seconds=$2
  shift 2
  if [ "$dry" = yes ]; then
    "$check" --gtest_list_tests --gtest_filter="$filter" | grep -c '^ ' | xargs echo "tests that would run:"
  else
    timeout "$seconds" "$@" "$check" --gtest_brief=1 --gtest_filter="$filter"
  fi
}
if wants tests; then
  step "$(about tests)"
  tests '*' 300
fi
failed=
if wants sanitizer; then
  step "$(about sanitizer)"
  seconds=100
  [ "$full" = no ] || seconds=0
  for tool in memcheck racecheck initcheck synccheck; do
    if [ "$dry" = no ] && ! command -v compute-sanitizer >/dev/null; then
      echo "skipped: compute-sanitizer is missing"
      break
    fi
    step "compute-sanitizer $tool"
    tests "$filter" "$seconds" compute-sanitizer --tool "$tool" --error-exitcode 1 2>&1 |
      tee "$out/$tool.log" || failed+=" $tool"
  done
  [ -z "$failed" ] || echo "run: errors found, or time limit exceeded:$failed" >&2
fi

if wants times; then
  step "$(about times)"
  commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
  "$python" "$here/measure.py" "$build/src/torch/libsp2dpo_torch.so" \
    --out "$out" --commit "$commit" "${options[@]}"
fi
if wants report; then
  step "$(about report)"
  "$python" "$here/report.py" "$out"
  echo "run: the report is $out/report.md"
fi
[ -z "$failed" ]
