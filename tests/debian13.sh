#!/usr/bin/env bash
# debian13.sh COMMAND...: runs the command in this tree, in a Debian 13 under build/debian13, which it
# makes the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD/build/debian13

if [ "$(id -u)" -ne 0 ]; then
  echo "debian13: needs root, for chroot and mount" >&2
  exit 1
fi
if [ ! -e "$root/.made" ]; then
  command -v debootstrap >/dev/null ||
    { apt-get update && apt-get install -y --no-install-recommends debootstrap; } >/dev/null
  # The mirror that this machine uses.
  mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || true; } |
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +([^ ]+\/debian)\/?( .*)?$/\3/p' | head -n 1)
  [ -n "$mirror" ] || { echo "debian13: no mirror of Debian in /etc/apt" >&2; exit 1; }
  echo "debian13: making build/debian13 (two minutes)"
  rm -rf "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase trixie "$root" "$mirror" >build/debian13.log ||
    { tail -n 20 build/debian13.log >&2; exit 1; }
  mkdir -p "$root/tree"
  touch "$root/.made"
fi

# Mounts in a namespace of their own: they end with this process, and two runs do not meet.
if [ -z "${SP2DPO_MOUNTS:-}" ]; then
  exec env SP2DPO_MOUNTS=own unshare --mount --propagation private bash tests/debian13.sh "$@"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$PWD" "$root/tree"
# Builds of its own: those of this machine were made with another compiler and at another path.
mkdir -p "$root/build" "$PWD/build"
mount --bind "$root/build" "$root/tree/build"
cp /etc/resolv.conf "$root/etc/resolv.conf"
shared=()
if [ -n "${SP2DPO_SHARED_DATA:-}" ] && [ -d "$SP2DPO_SHARED_DATA" ]; then
  mkdir -p "$root/shared"
  mount --bind "$SP2DPO_SHARED_DATA" "$root/shared"
  shared=(SP2DPO_SHARED_DATA=/shared)
fi
printf 'cd /tree && exec "$@"\n' >"$root/in_tree"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  ${shared[@]+"${shared[@]}"} chroot "$root" bash /in_tree "$@"
