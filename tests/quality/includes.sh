#!/usr/bin/env bash
# Checks that a room includes only itself, the rooms below it, and its own third-party library.
set -euo pipefail
. tests/quality/files.sh
export LC_ALL=C.UTF-8
cd include/sp2dpo
status=0

refuse_include() { refuse "^ *# *include *[<\"]($1)" "${@:2}"; }

mapfile -t all < <(find . -name '*.hpp' -o -name '*.cuh' | sed 's|^\./||' | sort)
mapfile -t core < <(printf '%s\n' "${all[@]}" | grep -E '^((detail|loss|schedule)/|[^/]+$)')
mapfile -t no_torch < <(printf '%s\n' "${all[@]}" | grep -v '^torch/')

# Headers that nvcc compiles: these, every .cuh, and the project's own headers that they include.
device=(loss/detail/host_device.hpp loss/dtype.hpp loss/objective.hpp loss/pair_loss.hpp)
mapfile -t -O ${#device[@]} device < <(printf '%s\n' "${all[@]}" | grep '\.cuh$')
for ((i = 0; i < ${#device[@]}; ++i)); do
  while read -r header; do
    [[ " ${device[*]} " == *" $header "* ]] || device+=("$header")
  done < <(sed -nE 's|^ *# *include <sp2dpo/(.*)>.*|\1|p' "${device[i]}")
done

refuse_include 'sp2dpo/(annotate|cpu|cuda|io|parquet|report|stats|torch)/' 'core must not include other rooms' "${core[@]}"
refuse_include 'Eigen|hwy/|cuda' 'core may need only the standard library and fmt' "${core[@]}"
refuse_include 'fmt/' 'nvcc cannot compile fmt' "${device[@]}"
refuse_include 'torch/|ATen/|c10/' 'only torch/ may include libtorch' "${no_torch[@]}"
refuse_include 'simdjson|Eigen/|boost/|curl|zlib|openssl|sqlite3|toml|CLI/|hwy/|arrow/|parquet/' 'a private library in a public header' "${all[@]}"
refuse_include 'torch/(torch|extension)\.h' 'costs 13 seconds per inclusion' "${all[@]}"

# core is complete without the compiled part of schedule/.
compiled='schedule/(aggregate|schedule_view|spooled_gaps|spooled_schedule|vote_table|detail/spool)\.hpp'
mapfile -t header_only < <(printf '%s\n' "${core[@]}" | grep -vE "^$compiled")
refuse "sp2dpo/$compiled" 'core stands without sp2dpo::schedule' "${header_only[@]}"

# rooms <room> <room that it may include>...: checks its public headers and its sources.
rooms() {
  local room=$1 allowed
  allowed=$(IFS='|'; echo "$*")
  local files
  mapfile -t files < <(find "$room" "../../src/$room" -type f 2>/dev/null | grep -E '\.(hpp|cuh|cpp|cu)$')
  [ ${#files[@]} -gt 0 ] || return 0
  if grep -HnE '^ *# *include <sp2dpo/[a-z]+/' "${files[@]}" |
    grep -vE "include <sp2dpo/(detail|loss|schedule|$allowed)/"; then
    echo "  ^ $room/ may include only core and: $*"
    status=1
  fi
}
rooms cpu
rooms cuda
rooms io
rooms parquet io
rooms ptx
rooms stats
rooms report io stats
rooms annotate io
rooms torch cpu cuda
exit $status
