# Sourced. files <pattern>: the project's own files whose names match, one a line.
files() {
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard
  else
    find . \( -name .git -o -path ./build \) -prune -o -type f -print | sed 's|^\./||'
  fi | sort | grep -E "$1" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}
