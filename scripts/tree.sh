#!/usr/bin/env bash
# tree.sh MAJOR: makes target/pg/MAJOR, a private copy of a PostgreSQL server into which the extension is installed.
# A server finds its libraries relative to its own program, so a copy with the same layout is complete by itself
# and nothing is ever written below /usr. target/pg/MAJOR/bin leads to its programs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
major=${1:?usage: tree.sh MAJOR}
TMS_PG_MAJOR=$major
. scripts/env.sh

# What the tree is made of: when this changes, it is made anew.
origin() {
  case $major in
    15) dpkg-query -W -f 'Debian ${Version}' postgresql-15 ;;
    16 | 18) sed -n 's/ *\\$//; /==/p' "scripts/wheels/$major.txt" ;;
    *) die "there is no source for PostgreSQL $major here" "known: ${TMS_MAJORS[*]}" ;;
  esac
}

from_debian() {
  mkdir -p "$1/usr/lib/postgresql" "$1/usr/share/postgresql" "$1/usr/include" &&
    cp -a "/usr/lib/postgresql/$major" "$1/usr/lib/postgresql/" &&
    cp -a "/usr/share/postgresql/$major" "$1/usr/share/postgresql/" &&
    cp -a /usr/include/postgresql "$1/usr/include/" &&
    ln -s "usr/lib/postgresql/$major/bin" "$1/bin" &&
    # An extension of ours that was installed for everyone does not belong into the copy.
    rm -f "$1/bin/../lib/tms.so" "$1/usr/share/postgresql/$major/extension"/tms{.control,--*.sql}
}

# The wheel is only unpacked, so the Python it was tagged for does not matter.
from_wheel() {
  local wheels=$1/.wheel tags=() tag bin
  for tag in 2_28 2_27 2_17; do tags+=(--platform "manylinux_${tag}_$(uname -m)"); done
  target/tools/py/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --implementation cp --python-version 3.11 --abi cp311 --abi none "${tags[@]}" \
    --require-hashes -r "scripts/wheels/$major.txt" -d "$wheels" &&
    target/tools/py/bin/python scripts/unpack_wheel.py "$wheels"/*.whl "$1" &&
    rm -rf "$wheels" &&
    bin=$(cd "$1" && echo */pginstall/bin) &&
    chmod -R a+rX "$1" &&
    chmod a+x "$1/$bin"/* &&
    ln -s "$bin" "$1/bin"
}

make_tree() {
  local stamp=$TMS_PG_TREE/.origin new=$TMS_PG_TREE.new.$$ want
  want=$(origin)
  [[ -f $stamp && $(<"$stamp") == "$want" ]] && return 0
  rm -rf "$TMS_PG_TREE".new.*
  mkdir -p "$new"
  if ((major == 15)); then
    run_logged "tree-$major" "copying PostgreSQL $major ($want)" from_debian "$new"
  else
    scripts/python.sh
    run_logged "tree-$major" "fetching PostgreSQL $major ($want)" from_wheel "$new"
  fi || die "no private server for PostgreSQL $major"
  local config
  config=$("$new/bin/pg_config" --pkglibdir) || die "pg_config of the copy does not run"
  [[ $config == "$(readlink -f "$new")"/* ]] || die "the copy of PostgreSQL $major is not self-contained: $config"
  echo "$want" >"$new/.origin"
  rm -rf "$TMS_PG_TREE"
  mv "$new" "$TMS_PG_TREE"
}

with_lock "pg-$major" make_tree
