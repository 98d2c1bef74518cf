#!/usr/bin/env bash
# build.sh MAJOR...: builds the extension for the private servers of these majors and installs it there.
# Cheap when nothing changed: cargo decides about the library, files that are the same are not touched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/extension.sh

for major in "${@:-15}"; do
  scripts/setup.sh "$major"
  (
    TMS_PG_MAJOR=$major
    . scripts/env.sh
    build_library "$TMS_PG_BIN/pg_config" "target/build/pg$major" || die "the extension does not build for PostgreSQL $major"
    place_extension "$TMS_PG_BIN/pg_config" "target/build/pg$major/release/libtms.so"
    say "PostgreSQL $major has tms $(extension_version)"
  )
done
