#!/usr/bin/env bash
# Builds the extension for the server that pg_config (or PG_CONFIG=...) names, and installs it there.
# Only this and uninstall.sh touch a server that is not private.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/extension.sh
pg_config=$(command -v "${PG_CONFIG:-pg_config}") || die "${PG_CONFIG:-pg_config} was not found" \
  "name the pg_config of the server: make install PG_CONFIG=/path/to/pg_config"
major=$(pg_major "$pg_config")
((major >= 15 && major <= 18)) || die "$pg_config belongs to PostgreSQL $major; tms runs on 15 to 18"
libraries=$("$pg_config" --pkglibdir)
extensions=$("$pg_config" --sharedir)/extension
[[ -f $("$pg_config" --includedir-server)/postgres.h ]] ||
  die "the server headers of PostgreSQL $major are missing" "on Debian: apt-get install postgresql-server-dev-$major"
for directory in "$libraries" "$extensions"; do
  [[ -w $directory ]] || die "you may not write to $directory" "build as yourself, install as root: sudo -E make install PG_CONFIG=$pg_config"
done

build_library "$pg_config" "target/build/install-pg$major" || die "the extension does not build for PostgreSQL $major"
place_extension "$pg_config" "target/build/install-pg$major/release/libtms.so"
say "installed tms $(extension_version) into $libraries and $extensions"
cat <<'TEXT'
Next: shared_preload_libraries = 'tms' in postgresql.conf, restart the server, CREATE EXTENSION tms;
TEXT
