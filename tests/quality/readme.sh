#!/usr/bin/env bash
# A code block of the README is a file in examples/, or a part of one:
#
#   <!-- examples/a/b.cpp -->           the whole file, less its SPDX line
#   <!-- examples/a/b.cpp [loop] -->    the lines between one with [loop] and one with [/loop],
#   ```cpp                              less their common indentation
#
# Every block in C++ or CMake must say where it comes from.
set -euo pipefail
if [ ! -f README.md ]; then
  echo "skipped: there is no README.md"
  exit 77
fi

part() {  # <file> [name]
  if [ -z "${2:-}" ]; then
    sed -e '1{/SPDX-License-Identifier/d}' "$1"
  else
    awk -v from="[$2]" -v to="[/$2]" '
      index($0, to) { inside = 0 }
      inside { lines[++n] = $0
               if ($0 ~ /[^ ]/) { match($0, /^ */); if (n == 1 || RLENGTH < least) least = RLENGTH } }
      index($0, from) { inside = 1 }
      END { for (i = 1; i <= n; ++i) print substr(lines[i], least + 1) }' "$1"
  fi
}

status=0 source='' block='' inside=no number=0
while IFS= read -r line; do
  number=$((number + 1))
  if [ "$inside" = yes ]; then
    if [ "$line" = '```' ]; then
      inside=no
      if [ -n "$source" ]; then
        read -r file name <<<"$source"
        name=${name#[} name=${name%]}
        if [ ! -f "$file" ]; then
          echo "README.md:$start: there is no file $file"
          status=1
        elif ! diff -u --label "$file" --label "README.md:$start" \
          <(part "$file" "$name") <(printf '%s' "$block"); then
          status=1
        fi
      fi
      source='' block=''
    else
      block+=$line$'\n'
    fi
  elif [[ $line =~ ^'<!-- '(examples/[^ ]+( \[[a-z_]+\])?)' -->'$ ]]; then
    source=${BASH_REMATCH[1]}
  elif [[ $line == '```'* ]]; then
    inside=yes start=$number
    if [[ $line =~ ^'```'(cpp|cmake)$ ]] && [ -z "$source" ]; then
      echo "README.md:$number: the block does not say which file it is"
      status=1
    fi
  fi
done <README.md
exit $status
