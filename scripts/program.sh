#!/usr/bin/env bash
# program.sh NAME [ARGUMENTS]: builds the extension for PostgreSQL 15 and starts a program of tests/e2e (demo, bench) with
# the environment that its servers need.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
name=${1:?usage: program.sh NAME [ARGUMENTS]}
shift
scripts/build.sh "${TMS_PG_MAJOR:-15}"
. scripts/env.sh
export CARGO_TARGET_DIR=$TMS_ROOT/target/pure
# Programs find the receiver, which is a process of its own, beside themselves.
run_logged "build-$name" "building the program $name" cargo build --release -p tms-e2e --bin "$name" --bin receiver ||
  die "the program $name does not build"
exec "$CARGO_TARGET_DIR/release/$name" "$@"
