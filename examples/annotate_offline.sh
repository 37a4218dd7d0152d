#!/usr/bin/env bash
# From pairs to a schedule and one explained beta, with judges that a program on this machine invents.
set -euo pipefail

case "${1:-}" in
  -h | --help)
    echo "Usage: bash examples/annotate_offline.sh [DIR]"
    echo "Asks a panel of two invented judges about the pairs in examples/data, without a key or a"
    echo "network, and writes store, annotations and schedule to DIR (default: build/annotate_offline)."
    exit 0
    ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${1:-$root/build/annotate_offline}
mkdir -p "$out" "$root/build"
out=$(cd "$out" && pwd)
cd "$root"

# Shares build/release with examples/quickstart.sh, so nothing is compiled again.
bash cmake/bootstrap.sh
. examples/build.sh
build=$root/build/release
build_release sp2dpo fake_provider

# The provider prints its URL in the first line and ends with its input.
coproc provider { exec "$build/examples/annotate_offline/fake_provider"; }
provider_pid=$!
trap 'kill "$provider_pid" 2>/dev/null || true' EXIT
read -r url <&"${provider[0]}"

cat >"$out/panel.toml" <<TOML
[[teacher]]
name = "ada"
model = "invented-large"
family = "invented"
base_url = "$url"
price = { prompt = 1.0, completion = 4.0 }

[[teacher]]
name = "bob"
model = "invented-small"
family = "invented"
base_url = "$url"
price = { prompt = 0.1, completion = 0.4 }
TOML

sp2dpo() {
  printf '\n$ sp2dpo %s\n' "$*"
  "$build/bin/sp2dpo" "$@"
}
ask=(--pairs "$root/examples/data/pairs.jsonl" --panel "$out/panel.toml" --store "$out/run.db")
sp2dpo annotate "${ask[@]}" --plan
sp2dpo annotate "${ask[@]}" --max-cost 5 --out "$out/annotations.jsonl"
sp2dpo schedule --pairs "$root/examples/data/pairs.jsonl" --annotations "$out/annotations.jsonl" \
  --missing drop --out "$out/schedule.jsonl"
sp2dpo explain --schedule "$out/schedule.jsonl" --store "$out/run.db" \
  --annotations "$out/annotations.jsonl" --brief factuality-01
