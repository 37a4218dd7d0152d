# Sourced by the scripts in this folder.

# build_release <target>...: builds the targets in build/release, which all scripts share, and shows
# ninja's progress.
build_release() {
  local log=build/release-configure.log
  mkdir -p build
  if ! cmake --preset release >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "cmake --preset release failed; its last lines are above, the rest is in $log" >&2
    exit 1
  fi
  cmake --build --preset release --parallel "$(nproc)" --target "$@" </dev/null
}
