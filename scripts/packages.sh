#!/usr/bin/env bash
# Installs the Debian packages that building and testing need, and only those that are missing. No cluster is
# created and no server is started by it: the ones used here are private copies (tree.sh).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# libclang is for the bindings, postgresql-15 and its headers are the default server, python3-venv fetches the other
# servers and the checks that come from PyPI.
packages=(build-essential clang libclang-dev libpq-dev postgresql-15 postgresql-server-dev-15 python3 python3-venv
  util-linux ca-certificates)

rust_is_there() {
  command -v cargo >/dev/null || die "cargo was not found" "Rust 1.95 or later is needed: https://rustup.rs"
  local have
  have=$(rustc --version | awk '{print $2}')
  [[ $(printf '1.95.0\n%s\n' "${have%%-*}" | sort -V | head -n 1) == 1.95.0 ]] ||
    die "Rust $have is too old: 1.95 or later is needed" "rustup update stable"
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

rust_is_there
if ! command -v dpkg-query >/dev/null; then
  die "this is not a Debian system, so packages are not installed by themselves" \
    "needed: a C compiler, libclang, PostgreSQL 15 with its headers, python3 with venv"
fi
mapfile -t missing < <(missing_packages)
((${#missing[@]})) || exit 0

sudo=()
if ((EUID != 0)); then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=(sudo -n)
  else
    die "these Debian packages are missing: ${missing[*]}" \
      "you are not root and sudo asks for a password, so please run:" \
      "  sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
fi

# The package postgresql-15 would create a cluster "main" and start it. Nobody asked for one.
no_cluster=/etc/postgresql-common/createcluster.d/tms-no-main-cluster.conf
"${sudo[@]}" mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = false' | "${sudo[@]}" tee "$no_cluster" >/dev/null
trap '"${sudo[@]}" rm -f "$no_cluster"' EXIT

run_logged apt-update "reading the package lists" "${sudo[@]}" apt-get update -q ||
  die "apt-get update failed"
# RUNLEVEL=1 keeps the package from starting services, among them clusters that their owner has stopped.
run_logged apt-install "installing ${missing[*]}" "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -q -y --no-install-recommends "${missing[@]}" ||
  die "apt-get install failed" "PostgreSQL 15 comes with Debian 12; elsewhere it is at https://apt.postgresql.org"
