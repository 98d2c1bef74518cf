#!/usr/bin/env bash
# Everything: lint, tests without a server, inside a server, of the SQL surface, and with real servers of each major.
# All parts run; counts are read from what they print; the last line says `N passed, N failed`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export CARGO_TERM_COLOR=never
passed=0
failed=0

# counts LOG: the sums of the `test result:` lines, as two words.
counts() {
  awk '/^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
    END { print p + 0, f + 0 }' "$1"
}

# unended LOG: the tests that ran long and did not end, for the reader of a part that was stopped.
unended() {
  awk '/^test .* has been running for over/ { slow[$2] } /^test .* \.\.\. / { delete slow[$2] }
    END { printf "running: "; for (name in slow) printf "%s ", name }' "$1"
}

# part NAME MINUTES COMMAND...: a part that does not end is a failure, not a hanging run.
part() {
  local name=$1 minutes=$2 status=0 p f began=$SECONDS
  shift 2
  TMS_TAIL=80 run_logged "test-$name" "$name" timeout --kill-after=30 "${minutes}m" "$@" || status=$?
  read -r p f < <(counts "$TMS_LOG/test-$name.log")
  if ((status && f == 0)); then
    f=1
    ((status != 124)) || say "$name: not done after $minutes minutes; $(unended "$TMS_LOG/test-$name.log")"
  elif ((status == 0 && p == 0)) && [[ $name != lint ]]; then
    f=1
    say "$name: ran no test, which counts as a failure"
  fi
  if ((f)); then
    grep -E '^test .*\bFAILED\b' "$TMS_LOG/test-$name.log" | sort -u | sed 's/^/    /' || true
  fi
  say "$name: $p ok, $f not ok, $((SECONDS - began))s"
  passed=$((passed + p))
  failed=$((failed + f))
}

if scripts/setup.sh "${TMS_MAJORS[@]}"; then
  part lint 30 scripts/lint.sh
  part pure 20 env CARGO_TARGET_DIR=target/pure cargo test -p tms-domain -p tms-delivery -p tms-fuzz
  part pg_test 20 scripts/pg_test.sh
  part pg_regress 20 scripts/pg_regress.sh
  for major in "${TMS_MAJORS[@]}"; do part "e2e-$major" 40 scripts/e2e.sh "$major"; done
else
  failed=1
fi

echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
