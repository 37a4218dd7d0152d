#!/usr/bin/env bash
# Installs the packages that sp2dpo needs and this machine lacks.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: bash cmake/bootstrap.sh [--torch-wheel [--oracle]] [--check]

  (no option)     the packages of Debian 12 or 13, or a derivative: compiler, CMake, libtorch, OpenBLAS, Eigen, Boost.Math, simdjson, fmt, Highway, CLI11, libcurl, SQLite,
                  toml++, GoogleTest, Benchmark
  --torch-wheel   also torch 2.11.0 from PyPI, in a virtual environment under build/torch-wheel (about
                  4.6 GB), for a current libtorch and for CUDA
  --oracle        also the Python packages that tests/oracle compares with, including pyarrow, whose
                  Arrow sp2dpo::parquet uses
  --check         only report what is missing; exit 1 if anything is

A libtorch that CMAKE_PREFIX_PATH or Torch_DIR names is used instead of the distribution's.
TEXT
}

wheel=no oracle=no check=no
for arg in "$@"; do
  case "$arg" in
    --torch-wheel) wheel=yes ;;
    --oracle) wheel=yes oracle=yes ;;
    --check) check=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "bootstrap: unknown option '$arg'" >&2; usage >&2; exit 2 ;;
  esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
torch_version=2.11.0
wheel_dir=$root/build/torch-wheel

say() { printf 'bootstrap: %s\n' "$*"; }

# True if the user provides a libtorch.
own_libtorch() {
  [ -n "${Torch_DIR:-}" ] && [ -e "$Torch_DIR/TorchConfig.cmake" ] && return 0
  local prefix
  local IFS=':;'
  for prefix in ${CMAKE_PREFIX_PATH:-}; do
    [ -e "$prefix/share/cmake/Torch/TorchConfig.cmake" ] && return 0
  done
  return 1
}

packages=(g++ cmake ninja-build libeigen3-dev libsimdjson-dev libfmt-dev libhwy-dev libcli11-dev
          libssl-dev zlib1g-dev libgtest-dev libgmock-dev libbenchmark-dev libboost-math-dev
          libcurl4-openssl-dev libsqlite3-dev libtomlplusplus-dev)
if [ "$wheel" = yes ]; then
  packages+=(python3-venv)
elif own_libtorch; then
  say "using the libtorch that CMAKE_PREFIX_PATH or Torch_DIR names"
else
  # Without OpenBLAS, Debian's libtorch computes with the reference BLAS: twelve times slower.
  packages+=(libtorch-dev libopenblas0-pthread)
fi

missing=()
if command -v dpkg-query >/dev/null; then
  installed="^($(dpkg --print-architecture)|all) install ok installed$"
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Architecture} ${Status}\n' "$package" 2>/dev/null |
      grep -qE "$installed" || missing+=("$package")
  done
else
  say "this system is not like Debian, so nothing is installed. Needed, by Debian's names:"
  say "  ${packages[*]}"
fi

wheel_missing=no
if [ "$wheel" = yes ] && [ "$(cat "$wheel_dir/.installed" 2>/dev/null || true)" != "$torch_version" ]; then
  wheel_missing=yes
fi
oracle_list=$root/tests/oracle/requirements.txt
oracle_missing=no
if [ "$oracle" = yes ] &&
  { [ "$wheel_missing" = yes ] || ! cmp -s "$oracle_list" "$wheel_dir/.oracle"; }; then
  oracle_missing=yes
fi

if [ "$check" = yes ]; then
  [ ${#missing[@]} -eq 0 ] || say "missing: ${missing[*]}"
  [ "$wheel_missing" = no ] || say "missing: torch $torch_version in build/torch-wheel"
  [ "$oracle_missing" = no ] || say "missing: the packages of tests/oracle/requirements.txt"
  [ ${#missing[@]} -eq 0 ] && [ "$wheel_missing" = no ] && [ "$oracle_missing" = no ]
  exit
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ]; then
    as_root=()
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    say "these packages are missing, and this account cannot install them:" >&2
    say "  ${missing[*]}" >&2
    say "ask an administrator for: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  say "installing ${missing[*]} (about a minute)"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! { "${as_root[@]}" apt-get update &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
           "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    say "apt-get failed; its last lines are above" >&2
    exit 1
  fi
fi

if [ "$wheel_missing" = yes ]; then
  say "installing torch $torch_version from PyPI into build/torch-wheel (531 MB to fetch, a few minutes)"
  rm -rf "$wheel_dir"
  mkdir -p "$root/build"
  python=$(command -v /usr/bin/python3 || command -v python3)
  "$python" -m venv "$wheel_dir"
  "$wheel_dir/bin/pip" install --quiet --disable-pip-version-check "torch==$torch_version" numpy
  # A path that does not name the Python version, for CMakePresets.json.
  ln -s "$(cd "$wheel_dir"/lib/python3*/site-packages && pwd)/torch" "$wheel_dir/torch"
  echo "$torch_version" >"$wheel_dir/.installed"
fi

if [ "$oracle_missing" = yes ]; then
  say "installing the packages of tests/oracle/requirements.txt into build/torch-wheel (a minute)"
  "$wheel_dir/bin/pip" install --quiet --disable-pip-version-check -r "$oracle_list" "torch==$torch_version"
  ln -sfn "$(cd "$wheel_dir"/lib/python3*/site-packages && pwd)/pyarrow" "$wheel_dir/pyarrow"
  cp "$oracle_list" "$wheel_dir/.oracle"
fi
