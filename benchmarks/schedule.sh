#!/usr/bin/env bash
# Compares whole processes: `sp2dpo schedule`, polars' lazy engine, pandas' default reader.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash benchmarks/schedule.sh [--pairs N] [--panel AxP] [--repeats N] [--program FILE]

  --pairs N       pairs [60000]
  --panel AxP     annotators and prompts [3x3]
  --repeats N     runs of each program, alternating [7]
  --program FILE  the sp2dpo to measure [builds one]

Data, programs and a virtual environment with polars and pandas go to build/.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pairs=60000 panel=3x3 repeats=7 program=
while [ $# -gt 0 ]; do
  case "$1" in
    --pairs | --panel | --repeats | --program)
      [ $# -ge 2 ] || { echo "schedule: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "schedule: unknown option '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

venv=$root/build/schedule-peers
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
"$venv/bin/pip" install --quiet polars pandas
if [ -z "$program" ]; then
  bash "$root/cmake/bootstrap.sh"
  build=$root/build/benchmarks-schedule
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSP2DPO_WITH_CPU=OFF \
    -DSP2DPO_WITH_CUDA=OFF -DSP2DPO_WITH_TORCH=OFF -DSP2DPO_BUILD_EXAMPLES=OFF \
    -DSP2DPO_BUILD_TESTS=OFF -DSP2DPO_INSTALL=OFF >/dev/null
  cmake --build "$build" --target sp2dpo >/dev/null
  program=$build/bin/sp2dpo
fi
data=$root/build/schedule-data/$pairs-$panel
if [ ! -e "$data/annotations.jsonl" ]; then
  python3 "$root/benchmarks/schedule_data.py" "$data" --pairs "$pairs" --panel "$panel"
fi
"$venv/bin/python" "$root/benchmarks/schedule_peers.py" compare "$program" "$data" --repeats "$repeats"
