#!/usr/bin/env bash
# symbols.sh <configuration> <nm> <object>...: checks that a library never prints, logs or exits.
set -euo pipefail
if [ "$1" = Debug ]; then
  echo "skipped: without optimisation, assertions of third-party headers print and abort"
  exit 77
fi
nm=$2
shift 2
banned='abort|_?_?exit|_Exit|quick_exit|std::terminate\(\)|printf|puts|putchar|perror|syslog|stdout|stderr|std::(cout|cerr|clog)'
if "$nm" --undefined-only --demangle "$@" | grep -E "^ +U ($banned)(@.*)?$"; then
  echo "  ^ used by this library, which must not print, log or end the process"
  exit 1
fi
