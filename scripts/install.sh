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
build_library "$pg_config" "target/build/install-pg$major" || die "the extension does not build for PostgreSQL $major"
library=target/build/install-pg$major/release/libtms.so
if [[ -w $libraries && -w $extensions ]]; then
  place_extension "$pg_config" "$library"
else
  # Built as oneself, placed as root: root often has no Rust.
  say "$libraries or $extensions is not yours to write: placing the files needs sudo"
  command -v sudo >/dev/null || die "there is no sudo here" "run make install as a user who may write there"
  # shellcheck disable=SC2016 # the inner shell expands it
  sudo bash -euo pipefail -c '. scripts/lib.sh; . scripts/extension.sh; place_extension "$@"' place "$pg_config" "$library"
fi
say "installed tms $(extension_version) into $libraries and $extensions"
cat <<'TEXT'
Next: shared_preload_libraries = 'tms' in postgresql.conf, restart the server, CREATE EXTENSION tms;
TEXT
