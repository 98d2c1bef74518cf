# Sourced after lib.sh: how the extension is built for a server and put in its place.
# shellcheck shell=bash

# Test and lint builds of the extension: a backtrace needs lines, not variables, and half the disk is enough.
export CARGO_PROFILE_DEV_DEBUG=line-tables-only

extension_version() { sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" tms.control; }

# build_library PG_CONFIG TARGET_DIR: one target directory per server, or the bindings, which depend on its headers,
# would be generated again at every change of server. PGRX_PG_CONFIG_PATH spares the user a ~/.pgrx.
build_library() {
  local pg_config=$1 directory=$2 major
  major=$(pg_major "$pg_config")
  run_logged "build-$(basename "$directory")" "building the extension for PostgreSQL $major (the first time takes minutes)" \
    env PGRX_PG_CONFIG_PATH="$pg_config" CARGO_TARGET_DIR="$directory" \
    cargo build --release --features "pg$major" -p tms --lib
}

pg_major() { "$1" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }

# install_script: the SQL of CREATE EXTENSION, hand-written, in the order of the file names.
install_script() {
  local files=(sql/install/[0-9]*_*.sql) file
  [[ -e ${files[0]} ]] || die "sql/install holds no NN_*.sql: there is nothing CREATE EXTENSION could run"
  printf '%s\n' '\echo Use "CREATE EXTENSION tms" to load this file. \quit'
  for file in "${files[@]}"; do
    printf '\n-- %s\n' "$file"
    cat "$file"
  done
}

# place_extension PG_CONFIG LIBRARY [MORE_SQL]: library, control file, install script and upgrade scripts.
place_extension() {
  local pg_config=$1 library=$2 more=${3:-/dev/null} libraries extensions script upgrade
  libraries=$("$pg_config" --pkglibdir)
  extensions=$("$pg_config" --sharedir)/extension
  script=$(mktemp)
  { install_script && cat "$more"; } >"$script" || { rm -f "$script"; return 1; }
  place "$script" "$extensions/tms--$(extension_version).sql"
  rm -f "$script"
  for upgrade in sql/tms--*--*.sql; do
    [[ -e $upgrade ]] && place "$upgrade" "$extensions/${upgrade##*/}"
  done
  place tms.control "$extensions/tms.control"
  place "$library" "$libraries/tms.so" 0755
}
