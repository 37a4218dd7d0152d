#!/usr/bin/env bash
# Checks README.md and docs/: code blocks, links, and the index.
#
# A code block that follows one of these comments must equal a file in examples/, or a part of it:
#
#   <!-- examples/a/b.cpp -->           the whole file without its SPDX line
#   <!-- examples/a/b.cpp [loop] -->    the lines between one with [loop] and one with [/loop],
#   ```cpp                              without their common indentation and other such marks
#
# In README.md every block in C++, CMake or Python has such a comment.
set -euo pipefail
export LC_ALL=C.UTF-8
if [ ! -f README.md ]; then
  echo "skipped: README.md is missing"
  exit 77
fi
status=0

part() {  # <file> [name]
  if [ -z "${2:-}" ]; then
    sed -e '1{/SPDX-License-Identifier/d}' "$1"
  else
    awk -v from="[$2]" -v to="[/$2]" '
      index($0, to) { inside = 0 }
      inside && !/^ *(\/\/|#) \[\/?[a-z_]+\]$/ {
        lines[++n] = $0
        if ($0 ~ /[^ ]/) { match($0, /^ */); if (n == 1 || RLENGTH < least) least = RLENGTH } }
      index($0, from) { inside = 1 }
      END { for (i = 1; i <= n; ++i) print substr(lines[i], least + 1) }' "$1"
  fi
}

# check_blocks <page>: compares the blocks that name a source.
check_blocks() {
  local page=$1 source='' block='' inside=no number=0 start line file name
  while IFS= read -r line; do
    number=$((number + 1))
    if [ "$inside" = yes ]; then
      if [ "$line" = '```' ]; then
        inside=no
        if [ -n "$source" ]; then
          name=''
          read -r file name <<<"$source"
          name=${name#[} name=${name%]}
          if [ ! -f "$file" ]; then
            echo "$page:$start: $file does not exist"
            status=1
          elif ! diff -u --label "$file" --label "$page:$start" \
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
      if [ "$page" = README.md ] && [ -z "$source" ] && [[ $line =~ ^'```'(cpp|cmake|python)$ ]]; then
        echo "$page:$number: the block does not name its file"
        status=1
      fi
    fi
  done <"$page"
}

# anchors <page>: the fragments of its headings, as GitHub makes them.
anchors() {
  awk '/^ *```/ { code = !code } !code && /^#+ / { sub(/^#+ /, ""); print tolower($0) }' "$1" |
    sed -E 's/[^[:alnum:] _-]//g; s/ /-/g'
}

# check_links <page>: relative links lead to files, and their fragments to headings.
check_links() {
  local page=$1 target file fragment
  while read -r target; do
    case "$target" in *://* | mailto:*) continue ;; esac
    file=${target%%#*} fragment=
    [[ $target == *'#'* ]] && fragment=${target#*#}
    if [ -z "$file" ]; then file=$page; else file=$(dirname "$page")/$file; fi
    if [ ! -e "$file" ]; then
      echo "$page: the link $target leads nowhere"
      status=1
    elif [ -n "$fragment" ] && ! anchors "$file" | grep -qxF -- "$fragment"; then
      echo "$page: $file has no heading for the link $target"
      status=1
    fi
  done < <(grep -oE '\]\([^) ]+\)' "$page" | sed 's/^](//; s/)$//')
}

mapfile -t pages < <(find docs -name '*.md' | sort)
for page in README.md "${pages[@]}"; do
  check_blocks "$page"
  check_links "$page"
done

# The index leads to every page.
for page in "${pages[@]}"; do
  if [ "$page" != docs/README.md ] && ! grep -qF "(${page#docs/})" docs/README.md; then
    echo "docs/README.md: has no link to $page"
    status=1
  fi
done
exit $status
