#!/usr/bin/env bash
# Lets mlcroissant validate and follow the Croissant metadata of `sp2dpo report`, for a schedule as JSON
# Lines and, if the program was built with it, as Parquet.
#
#   bash tests/oracle/croissant.sh [program]     default: build/ci/bin/sp2dpo
#
# mlcroissant comes from PyPI into build/oracle-croissant (a minute the first time).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program=${1:-build/ci/bin/sp2dpo}
[ -x "$program" ] || { echo "croissant: $program is missing; build it, or name another program" >&2; exit 2; }
list=tests/oracle/croissant-requirements.txt environment=build/oracle-croissant
if ! cmp -s "$list" "$environment/.installed"; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$list"
  cp "$list" "$environment/.installed"
fi
"$environment/bin/python" tests/oracle/validate_croissant.py "$program"
