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
status=0
for object in "$@"; do
  undefined=$("$nm" --undefined-only --demangle "$object")
  # std::thread's destructor refers to std::terminate(). An object that joins its threads may, too.
  if grep -qE '^ +U std::thread::join\(\)(@.*)?$' <<<"$undefined"; then
    undefined=$(grep -vE '^ +U std::terminate\(\)(@.*)?$' <<<"$undefined")
  fi
  if grep -E "^ +U ($banned)(@.*)?$" <<<"$undefined"; then
    echo "  ^ used by $object, which must not print, log or end the process"
    status=1
  fi
done
exit $status
