# Read by the scripts in this folder.

# build_release <target>...: builds the targets in build/release, where all of these scripts build,
# and shows how far it is.
build_release() {
  local log=build/release-configure.log
  mkdir -p build
  if ! cmake --preset release >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "cmake --preset release failed; its last lines stand above, all of them in $log" >&2
    exit 1
  fi
  cmake --build --preset release --parallel "$(nproc)" --target "$@" </dev/null
}
