#!/usr/bin/env bash
# Checks and times the CUDA kernels on this machine's GPU, and writes a report.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/gpu/run.sh [--dry-run] [--full] [--only STEPS] [--out FOLDER] [--python PYTHON]

Needs an NVIDIA GPU, nvcc, CMake, ninja, fmt, Highway, GoogleTest and a Python with torch for CUDA. It
builds sp2dpo against that torch, runs the torch-free tests of the kernels on the GPU, a part of them
again under compute-sanitizer, checks a sample of rows against float64, and times the losses beside
their peers. FOLDER (build/gpu-report) gets report.md and report.json: what was predicted and asked
for beside what was measured, times, peak memory, clocks.

The steps, in their order, each of them a command of its own with --only where time is short:

  build       about 4 minutes on 16 cores
  tests       about 1 minute, at most 5
  sanitizer   about 6 minutes for the tests of sanitizer_tests.txt, which run each kernel with each
              element type under each of four tools; at most 100 s a tool
  times       about 6 minutes; begins nothing new after 8 (with --full too), and goes on with --resume
  report      report.md from report.json, without a GPU

  --dry-run         without a GPU: builds the same and walks through the same steps, on the CPU and
                    with tiny tensors; no figure of it means anything
  --full            the whole grid of shapes instead of the headline ones, all tests under the
                    sanitizer, and no limit to their time
  --only STEPS      some of them, with commas
  --filter TESTS    GoogleTest's filter for the runs under compute-sanitizer
  --levels LEVELS   some of log_probs,row,logits,hidden to be timed
  --resume          adds to the report in FOLDER what it lacks
  --python PYTHON   that has torch; default: build/torch-wheel/bin/python if there, else python3
  --packages TREE   where fmt, Highway and GoogleTest are, if not in the system [build/gpu-packages]

For a machine that lacks these packages, one of Debian's kind that has them puts them together:

  bash benchmarks/gpu/run.sh --only packages                # a tree of 7 MB, build/gpu-packages
  bash benchmarks/gpu/run.sh --only build,tests,sanitizer   # there, with that tree carried along

Peers are timed as far as PYTHON has them: liger-kernel, unsloth, quack-kernels, cut-cross-entropy, trl.
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
    echo "run: --only knows packages, build, tests, sanitizer, times and report, not '$name'" >&2
    exit 2
  }
  total=$((total + minutes[$name]))
done
wants() { [[ ",$only," == *",$1,"* ]]; }
step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
about() { echo "$1, about ${minutes[$1]} min"; }

mkdir -p "$out"
step "$only: about $total min in all"

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
  echo "no GPU is looked for"
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
    echo "run: the build failed; its last lines stand above" >&2
    exit 1
  fi
fi
check=$build/tests/cuda/test_cuda_on_gpu

# tests FILTER SECONDS [TOOL...]: runs tests, or counts them on a machine without a GPU.
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
      echo "left out: compute-sanitizer is missing"
      break
    fi
    step "compute-sanitizer $tool"
    tests "$filter" "$seconds" compute-sanitizer --tool "$tool" --error-exitcode 1 2>&1 |
      tee "$out/$tool.log" || failed+=" $tool"
  done
  [ -z "$failed" ] || echo "run: found something, or took too long:$failed" >&2
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
