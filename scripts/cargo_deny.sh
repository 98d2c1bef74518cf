#!/usr/bin/env bash
# cargo_deny.sh ARGUMENTS: cargo-deny of a pinned version, built into target/tools the first time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version=0.20.2
program=target/tools/bin/cargo-deny

if [[ $(cargo deny --version 2>/dev/null) == "cargo-deny $version" ]]; then
  program=$(command -v cargo-deny)
elif [[ $("$program" --version 2>/dev/null) != "cargo-deny $version" ]]; then
  # It runs for a second, so it is built for a short build, not for a fast program.
  CARGO_TARGET_DIR=$TMS_ROOT/target/tools/build CARGO_PROFILE_DEV_DEBUG=0 run_logged cargo-deny \
    "building cargo-deny $version (once, some minutes)" \
    cargo install cargo-deny --version "$version" --locked --debug --root target/tools || die "cargo-deny does not build"
  rm -rf target/tools/build
fi
exec "$program" "$@"
