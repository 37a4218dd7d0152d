#!/usr/bin/env bash
# Builds the library, and nothing else, with every compiler that it supports, warnings as errors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# build <name> <C++ compiler>: in build/compilers-<name>.
build() {
  local name=$1 compiler=$2 folder=build/compilers-$1 start=$SECONDS
  local log=$folder.log
  mkdir -p build
  if ! { cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
           -DCMAKE_COMPILE_WARNING_AS_ERROR=ON -DSP2DPO_WITH_CUDA=OFF -DSP2DPO_BUILD_TESTS=OFF \
           -DSP2DPO_BUILD_EXAMPLES=OFF &&
         cmake --build "$folder" --parallel "$(nproc)"; } >"$log" 2>&1 </dev/null; then
    grep -nE -A 12 'error:|CMake Error' "$log" | head -n 60 || tail -n 30 "$log"
    echo "compilers: $name failed; all of its output is in $log"
    exit 1
  fi
  echo "compilers: $name: the library builds without a warning ($("$compiler" -dumpfullversion 2>/dev/null || "$compiler" -dumpversion), $((SECONDS - start)) s)"
}

# missing <package>...: those that are not installed.
missing() {
  local package
  for package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
      echo "$package"
  done
}

if [ "${1:-}" = --one ]; then
  bash cmake/bootstrap.sh </dev/null
  build "$2" "$3"
  exit
fi
bash cmake/bootstrap.sh </dev/null
mapfile -t packages < <(missing g++-12 clang-14 clang-19)
if [ ${#packages[@]} -gt 0 ]; then
  { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >/dev/null
fi
build g++-12 g++-12
build clang-14 clang++-14
build clang-19 clang++-19
bash tests/debian13.sh bash tests/compilers.sh --one g++-14 g++-14
