#!/usr/bin/env bash
# pg_regress.sh [--accept] [NAME...]: runs tests/pg_regress/sql/NAME.sql (all, in name order, by default) on the private
# PostgreSQL 15 and compares with tests/pg_regress/expected/NAME.out.
# --accept takes what came out as what is expected, for a person to read in the diff.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
scripts/build.sh 15
TMS_PG_MAJOR=15
. scripts/env.sh

accept=
if [[ ${1:-} == --accept ]]; then accept=yes; shift; fi
suite=$TMS_ROOT/tests/pg_regress
names=("$@")
if ((${#names[@]} == 0)); then
  for file in "$suite"/sql/*.sql; do
    [[ -e $file ]] || die "tests/pg_regress/sql holds no test"
    names+=("$(basename "$file" .sql)")
  done
fi

# pg_regress would take a missing expectation for nothing to compare.
unexpected=()
for name in "${names[@]}"; do
  [[ -f $suite/sql/$name.sql ]] || die "there is no tests/pg_regress/sql/$name.sql"
  [[ -n $accept || -f $suite/expected/$name.out ]] || unexpected+=("$name")
done
((${#unexpected[@]} == 0)) ||
  die "no expected output for: ${unexpected[*]}" "read and keep it with: scripts/pg_regress.sh --accept ${unexpected[*]}"

home=$TMS_STATE_DIR/pg_regress
server() { as_server_user "$TMS_PG_BIN/pg_ctl" -D "$home/data" -s -w "$@"; }
[[ ! -f $home/data/postmaster.pid ]] || server -m immediate stop || true
rm -rf "$home"
as_server_user mkdir -p "$home"

# The superuser is called postgres on every machine, for it shows in outputs.
as_server_user "$TMS_PG_BIN/initdb" -D "$home/data" -U postgres -A trust --no-locale --encoding=UTF8 --no-sync >"$TMS_LOG/pg_regress-initdb.log"
{
  echo "shared_preload_libraries = 'tms'"
  echo "listen_addresses = ''"
  echo "unix_socket_directories = '$home'"
  echo 'fsync = off'
  if [[ -f $suite/postgresql.conf ]]; then cat "$suite/postgresql.conf"; fi
} >>"$home/data/postgresql.conf"
trap 'server -m immediate stop || true' EXIT
server -l "$home/server.log" start || { tail -n 20 "$home/server.log"; die "the server for pg_regress did not start"; }

mkdir -p "$home/suite" "$suite/expected"
cp -R "$suite/sql" "$suite/expected" "$home/suite/"
for name in "${names[@]}"; do [[ -f $home/suite/expected/$name.out ]] || : >"$home/suite/expected/$name.out"; done
status=0
"$TMS_PG_TREE/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress" \
  --bindir="$TMS_PG_BIN" --host="$home" --port=5432 --user=postgres --dbname=tms_regress --load-extension=tms \
  --inputdir="$home/suite" --outputdir="$home/suite" "${names[@]}" 2>&1 | tee "$home/out" || status=$?

if [[ -n $accept ]]; then
  for name in "${names[@]}"; do cp "$home/suite/results/$name.out" "$suite/expected/$name.out"; done
  say "accepted: ${names[*]}"
  exit 0
fi
if [[ -s $home/suite/regression.diffs ]]; then cat "$home/suite/regression.diffs"; fi
passed=$(grep -cE '^(test|ok) .* ok +[0-9]+ ms' "$home/out" || true)
echo "test result: $( ((status == 0)) && echo ok || echo FAILED). $passed passed; $((${#names[@]} - passed)) failed"
exit "$status"
