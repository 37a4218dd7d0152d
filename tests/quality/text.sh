#!/usr/bin/env bash
# Checks the rules for all text files of the project.
set -euo pipefail
. tests/quality/files.sh
export LC_ALL=C.UTF-8
status=0

mapfile -t all < <(files .)
mapfile -t sources < <(files '\.(hpp|cuh|cpp|cu)$')
mapfile -t code < <(files '\.(hpp|cuh|cpp|cu|cmake|in|sh|py)$|CMakeLists\.txt$|\.ci/run$')
mapfile -t scripts < <(files '\.sh$|^\.ci/run$')

refuse '(?<![\w.])/(work|root|home|tmp)/' 'a path that exists on one machine only' "${all[@]}"
refuse '(pypi|pythonhosted|debian|npmjs|golang)\.org\b|crates\.io\b' \
  'the host of a package registry; name the package instead' "${all[@]}"
refuse '[ \t]+$' 'trailing white space' "${code[@]}"
refuse '\t' 'a tab' "${code[@]}"
refuse '^.{101,}' 'more than 100 columns' "${sources[@]}"

for file in "${sources[@]}"; do
  if [ "$(head -n 1 "$file")" != '// SPDX-License-Identifier: Apache-2.0' ]; then
    echo "$file:1: expected the SPDX line"
    status=1
  fi
done
for file in "${code[@]}"; do
  if [ -n "$(tail -c 1 "$file")" ]; then
    echo "$file: missing line end at the end of the file"
    status=1
  fi
done
for file in "${scripts[@]}"; do
  bash -n "$file" || status=1
done
exit $status
