#!/usr/bin/env bash
# From a fresh clone: sets up, builds and runs examples/quickstart.
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

bash "$root/cmake/bootstrap.sh"
cd "$root"
. examples/build.sh
[ -x build/release/examples/quickstart/quickstart ] ||
  echo "quickstart: building it, about a minute on two cores"
build_release quickstart
cd "$OLDPWD"

arguments=(--out "$here/build/quickstart")
if [ "$own_data" = yes ]; then
  arguments+=(--pairs "$here/examples/data/pairs.jsonl"
              --annotations "$here/examples/data/annotations.jsonl")
fi
exec "$root/build/release/examples/quickstart/quickstart" "${arguments[@]}" "$@"
