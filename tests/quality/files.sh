# Sourced. files <pattern>: the project's own files whose names match, one a line.
files() {
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard
  else
    find . \( -name .git -o -path ./build \) -prune -o -type f -print | sed 's|^\./||'
  fi | sort | grep -E "$1" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

# refuse <pattern> <why> <file>...: prints the lines that match, and sets status to 1 if any does.
refuse() {
  local pattern=$1 why=$2
  shift 2
  [ $# -gt 0 ] || return 0
  if grep -HnIP "$pattern" "$@"; then
    echo "  ^ $why"
    status=1
  fi
}
