#!/usr/bin/env bash
# The main job, from a fresh clone: sets up, builds, then runs examples/quickstart.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash examples/quickstart.sh [--pairs P --annotations A] [--out DIR] [options]

Makes a beta for each preference pair from annotations, trains a small byte-level model by DPO with
these betas and with two controls, and writes schedule, weights, metrics and pictures to DIR
(default: build/quickstart). Without --pairs and --annotations: the pairs in examples/data.
The other options are those of build/release/examples/quickstart/quickstart --help.
TEXT
}

own_data=yes
for arg in "$@"; do
  case "$arg" in
    -h | --help) usage; exit 0 ;;
    --pairs | --pairs=* | --annotations | --annotations=*) own_data=no ;;
  esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$(realpath --relative-to="$PWD" "$root")
log=$root/build/quickstart-build.log

quietly() {
  "$@" >>"$log" 2>&1 && return
  tail -n 40 "$log" >&2
  echo "quickstart: the build failed; its last lines stand above, all of them in $log" >&2
  exit 1
}

bash "$root/cmake/bootstrap.sh"
mkdir -p "$root/build"
: >"$log"
[ -x "$root/build/release/examples/quickstart/quickstart" ] ||
  echo "quickstart: building, for some minutes the first time (log: $log)"
cd "$root"
quietly cmake --preset release
quietly cmake --build --preset release --parallel "$(nproc)" --target quickstart sp2dpo
cd "$OLDPWD"

arguments=(--out "$here/build/quickstart")
if [ "$own_data" = yes ]; then
  arguments+=(--pairs "$here/examples/data/pairs.jsonl"
              --annotations "$here/examples/data/annotations.jsonl")
fi
exec "$root/build/release/examples/quickstart/quickstart" "${arguments[@]}" "$@"
