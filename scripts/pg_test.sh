#!/usr/bin/env bash
# pg_test.sh [FILTER]: runs the in-server tests (#[pg_test] in pg_test/) on the private PostgreSQL 15.
#
# This is what `cargo pgrx test` does, in three steps that work for root and without sudo, without cargo-pgrx and
# without ~/.pgrx: the library with the tests in it goes into a copy of the server tree, the test program of
# pgrx-tests is started by the user that servers run as, and its own attempt at installing the extension
# (CARGO_PGRX) is answered with `true`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/extension.sh
scripts/setup.sh 15
TMS_PG_MAJOR=15
. scripts/env.sh

features="pg15 pg_test"
export CARGO_TARGET_DIR=$TMS_ROOT/target/build/pg15 PGRX_PG_CONFIG_PATH=$TMS_PG_BIN/pg_config CARGO_TERM_COLOR=never

# One invocation for both: asked for separately, cargo would build pgrx twice, with and without what pgrx-tests adds.
build_tests() {
  cargo build -p tms --lib --tests --features "$features" --message-format=json-render-diagnostics
}

# The tree is linked, not copied: place replaces files, so the original keeps its own library and script.
make_test_tree() {
  tree=$TMS_BASE/pg/15-test
  cmp -s "$TMS_PG_TREE/.origin" "$tree/.origin" && return 0
  rm -rf "$tree"
  cp -al "$TMS_PG_TREE" "$tree"
}

# A #[pg_test] named story becomes the Rust test pg_story, which calls the SQL function tests.story.
sql_of_tests() {
  local story library=$CARGO_TARGET_DIR/debug/libtms.so symbols
  symbols=$(nm -D --defined-only "$library" | awk '{print $3}')
  echo 'CREATE SCHEMA tests;'
  for story in $("$program" --list --format terse | sed -n 's/^\(.*::\)\{0,1\}pg_\([a-z0-9_]*\): test$/\2/p'); do
    if grep -qx "${story}_wrapper" <<<"$symbols"; then
      printf "CREATE FUNCTION tests.\"%s\"() RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', '%s_wrapper';\n" "$story" "$story"
    else
      printf 'warning: %s\n' "no #[pg_test] fn $story in the library: is its name longer than 63 bytes?" >&2
    fi
  done
}

run_logged pg_test-build "building the in-server tests (the first time takes minutes)" build_tests ||
  die "the in-server tests do not compile"
program=$(sed -n 's/.*"executable":"\([^"]*\/tms-[0-9a-f]*\)".*/\1/p' "$TMS_LOG/pg_test-build.log" | tail -n 1)
[[ -x $program ]] || die "cargo named no test program" "see target/log/pg_test-build.log"

make_test_tree
stories=$(mktemp)
sql_of_tests >"$stories"
test_bin=$(readlink -f "$tree/bin")
place_extension "$test_bin/pg_config" "$CARGO_TARGET_DIR/debug/libtms.so" "$stories"
rm -f "$stories"

# The server user may not reach the build directory: it gets the program, and the one manifest it looks for.
home=$TMS_STATE_DIR/pg_test
rm -rf "$home"
as_server_user mkdir -p "$home"
install -m 0755 "$program" "$home/program"
printf '[package]\nname = "tms"\nversion = "%s"\n[lib]\nname = "tms"\n' "$(extension_version)" >"$home/Cargo.toml"
chmod 0644 "$home/Cargo.toml"
cd "$home"
status=0
as_server_user env CARGO_PGRX=/bin/true CARGO_MANIFEST_DIR="$home" CARGO_TARGET_DIR="$home" USER="${TMS_RUN_AS:-$(id -un)}" \
  PGRX_HOME="$home" PGRX_PG_CONFIG_PATH="$test_bin/pg_config" CARGO_PGRX_TEST_PGDATA="$home" \
  ./program "$@" || status=$?
cd "$TMS_ROOT"
rm -rf "$home"
exit "$status"
