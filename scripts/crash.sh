#!/usr/bin/env bash
# crash.sh ROUNDS: kills the server in the middle of delivery, ROUNDS times, on PostgreSQL 15. A name that matches no
# test would be a success for cargo; here it is not.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export TMS_CRASH_ROUNDS=${1:?usage: crash.sh ROUNDS}
scripts/e2e.sh 15 crash -- --nocapture 2>&1 | tee "$TMS_LOG/crash.log"
grep -q '^test result: ok\. [1-9]' "$TMS_LOG/crash.log" || die "there is no test named crash in tests/e2e"
