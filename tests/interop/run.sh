#!/usr/bin/env bash
# Runs `sp2dpo annotate` against servers that others wrote, on loopback. Not part of ctest.
#
#   bash tests/interop/run.sh [--program FILE] [llmock | transformers | litellm]...
#
# The program is build/ci/bin/sp2dpo unless named, and the servers are all three. They come from PyPI
# into environments of their own under build/interop/ (some minutes the first time). For transformers,
# torch is taken from build/torch-wheel where `cmake/bootstrap.sh --torch-wheel` has put it, else
# fetched (5 GB).
set -euo pipefail

program=$(dirname "${BASH_SOURCE[0]}")/../../build/ci/bin/sp2dpo servers=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    --program) program=${2:?--program needs a file} && shift ;;
    llmock | transformers | litellm) servers+=("$1") ;;
    *) echo "interop: expected llmock, transformers or litellm, got $1" >&2 && exit 2 ;;
  esac
  shift
done
[ ${#servers[@]} -gt 0 ] || servers=(llmock transformers litellm)
[ -x "$program" ] || { echo "interop: missing program $program" >&2 && exit 2; }
program=$(realpath "$program")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# environment <name> <packages>...
environment() {
  local folder=build/interop/$1 wheel=build/torch-wheel python=python3
  shift
  [ "$(cat "$folder/.installed" 2>/dev/null)" != "$*" ] || return 0
  echo "interop: installing $* into $folder"
  rm -rf "$folder"
  case "$*" in
    *torch=*) if [ -x "$wheel/bin/python" ]; then python=$wheel/bin/python; fi ;;
  esac
  "$python" -m venv "$folder"
  if [ "$python" = "$wheel/bin/python" ]; then
    # What is there already is neither fetched nor copied.
    local packages='import sysconfig; print(sysconfig.get_path("purelib"))'
    "$python" -c "$packages" >"$("$folder/bin/python" -c "$packages")/torch.pth"
  fi
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
  echo "$*" >"$folder/.installed"
}

status=0
for server in "${servers[@]}"; do
  case $server in
    llmock) environment llmock llmock==0.2.2 ;;
    transformers) environment transformers torch==2.11.0 'transformers[serving]==5.24.0' ;;
    litellm) environment litellm 'litellm[proxy]==1.110.2' ;;
  esac
  python3 tests/interop/servers.py "$server" "$program" || status=1
done
exit "$status"
