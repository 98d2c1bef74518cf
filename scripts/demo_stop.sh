#!/usr/bin/env bash
# Ends the servers that the demo left running; the demo keeps all of its state below $TMS_STATE_DIR/demo.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/env.sh
demo=$TMS_ROOT/target/pure/release/demo
if [[ -x $demo ]]; then "$demo" stop || true; fi
scripts/stop_servers.sh "$TMS_STATE_DIR/demo"
