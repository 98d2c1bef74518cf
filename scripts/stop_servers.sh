#!/usr/bin/env bash
# stop_servers.sh DIRECTORY: stops the private servers whose data directories are below DIRECTORY.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/env.sh
while IFS= read -r pid_file; do
  data=${pid_file%/postmaster.pid}
  bin=$(readlink -f "$TMS_BASE/pg/$(<"$data/PG_VERSION")/bin")
  say "stopping the server in $data"
  as_server_user "$bin/pg_ctl" -D "$data" -m fast -s stop || true
done < <(find "${1:?usage: stop_servers.sh DIRECTORY}" -name postmaster.pid 2>/dev/null)
