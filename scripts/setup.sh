#!/usr/bin/env bash
# setup.sh MAJOR...: packages and private servers; does nothing when they are there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

scripts/packages.sh
for major in "${@:-15}"; do scripts/tree.sh "$major"; done
