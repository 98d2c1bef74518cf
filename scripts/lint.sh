#!/usr/bin/env bash
# Everything that is checked without running it: format, clippy, dependencies, SQL, scripts, workflows.
# All checks run, whatever the first ones say.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. scripts/extension.sh
scripts/setup.sh 15
scripts/python.sh scripts/requirements-lint.txt
TMS_PG_MAJOR=15
. scripts/env.sh
tools=$TMS_ROOT/target/tools/py/bin
failed=()

check() {
  local name=$1 what=$2
  shift 2
  run_logged "lint-$name" "lint: $what" "$@" || failed+=("$name")
}

clippy_extension() {
  PGRX_PG_CONFIG_PATH=$TMS_PG_BIN/pg_config CARGO_TARGET_DIR=target/build/pg15 \
    cargo clippy -p tms --features "pg15 pg_test" --all-targets -- -D warnings
}

# pgspot reads plain SQL: neither psql's \echo nor the placeholder that CREATE EXTENSION replaces.
pgspot_install_script() {
  install_script | sed -e '/^\\echo/d' -e 's/@extschema@/extschema/g' >target/install.sql &&
    "$tools/pgspot" target/install.sql
}

# -x follows the sourced files.
shell_scripts() { "$tools/shellcheck" -S warning -x -P SCRIPTDIR -P . scripts/*.sh .ci/run; }

check fmt "cargo fmt" cargo fmt --all --check
check lock "Cargo.lock is up to date" cargo metadata --locked --format-version=1
check clippy-pure "clippy, crates without PostgreSQL" env CARGO_TARGET_DIR=target/pure \
  cargo clippy -p tms-domain -p tms-delivery -p tms-fuzz -p tms-e2e --all-targets -- -D warnings
check clippy-extension "clippy, extension" clippy_extension
check deny "licences, bans and sources of dependencies" scripts/cargo_deny.sh --all-features check bans licenses sources
check pgspot "pgspot, the install script" pgspot_install_script
check shell "shellcheck" shell_scripts
check workflows "zizmor, GitHub workflows" "$tools/zizmor" --offline .github/workflows

if ((${#failed[@]})); then
  printf 'lint failed: %s\n' "${failed[*]}"
  exit 1
fi
say "lint: nothing found"
