#!/usr/bin/env bash
# Checks that C++ follows .clang-format. Other versions of clang-format give other results.
set -euo pipefail
. tests/quality/files.sh
for program in clang-format-14 clang-format; do
  if "$program" --version 2>/dev/null | grep -q 'version 14\.'; then
    mapfile -t sources < <(files '\.(hpp|cuh|cpp|cu)$')
    exec "$program" --dry-run -Werror "${sources[@]}"
  fi
done
echo "skipped: clang-format 14 is not installed"
exit 77
