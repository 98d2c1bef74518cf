#!/usr/bin/env bash
# Removes what install.sh put into the server that pg_config (or PG_CONFIG=...) names.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pg_config=$(command -v "${PG_CONFIG:-pg_config}") || die "${PG_CONFIG:-pg_config} was not found"
libraries=$("$pg_config" --pkglibdir)
extensions=$("$pg_config" --sharedir)/extension
sudo=()
if [[ ! -w $libraries || ! -w $extensions ]]; then sudo=(sudo); fi
"${sudo[@]}" rm -fv "$libraries/tms.so" "$extensions/tms.control" "$extensions"/tms--*.sql
echo "Databases keep the extension until DROP EXTENSION tms; take tms out of shared_preload_libraries before the next restart."
