#!/usr/bin/env bash
# e2e.sh MAJOR [ARGUMENTS OF cargo test]: the tests with real servers and real receivers, on the private server of MAJOR.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
major=${1:?usage: e2e.sh MAJOR [cargo test arguments]}
shift
scripts/build.sh "$major"
TMS_PG_MAJOR=$major
. scripts/env.sh
export TMS_CRASH_ROUNDS=${TMS_CRASH_ROUNDS:-10}
CARGO_TARGET_DIR=$TMS_ROOT/target/pure exec cargo test --no-fail-fast --profile e2e -p tms-e2e "$@"
