#!/usr/bin/env bash
# Stops private servers that are still running and removes everything that was built or fetched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/env.sh
scripts/stop_servers.sh "$TMS_STATE_DIR"
if [[ $TMS_BASE != "$TMS_ROOT/target" ]]; then rm -rf "$TMS_BASE"; fi
rm -rf target
