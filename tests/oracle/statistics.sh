#!/usr/bin/env bash
# Compares `sp2dpo agree` and `sp2dpo schedule --gold` with independent Python packages on random tables.
#
#   bash tests/oracle/statistics.sh [program]     default: build/ci/bin/sp2dpo
#   bash tests/oracle/statistics.sh --install     only installs the packages
#
# The packages come from PyPI into environments under build/ (a few minutes the first time).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=${1:-build/ci/bin/sp2dpo}
if [ "$program" != --install ] && [ ! -x "$program" ]; then
  echo "statistics: $program is missing; build it, or name another program" >&2
  exit 2
fi

# environment <folder> <requirements>: irrCAC pins old versions and needs a folder of its own.
environment() {
  local folder=$1 list=$2
  cmp -s "$list" "$folder/.installed" && return
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$list"
  cp "$list" "$folder/.installed"
}
environment build/oracle-statistics tests/oracle/statistics-requirements.txt
environment build/oracle-irrcac tests/oracle/irrcac-requirements.txt
[ "$program" != --install ] || exit 0

build/oracle-statistics/bin/python tests/oracle/compare_statistics.py "$program" build/oracle-irrcac/bin/python
