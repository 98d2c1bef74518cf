# Sourced after lib.sh: where the private servers are, who runs them, and which one is meant (TMS_PG_MAJOR).
# shellcheck shell=bash
#
# PostgreSQL refuses to run as root. As root, servers are therefore started as TMS_RUN_AS, who must be able to
# reach their files: in a clone below a closed directory (/root) these live under /var/tmp instead, and
# target/pg and target/run are links to them. The same goes for a long path, because the path of a Unix socket may
# have no more than 107 bytes.

export TMS_PG_MAJOR=${TMS_PG_MAJOR:-15}

if ((EUID == 0)); then
  if [[ -z ${TMS_RUN_AS:-} ]]; then
    TMS_RUN_AS=postgres
    id -u "$TMS_RUN_AS" >/dev/null 2>&1 || TMS_RUN_AS=nobody
  fi
else
  TMS_RUN_AS=
fi
export TMS_RUN_AS

# as_server_user COMMAND...: runs it as the user that servers run as.
as_server_user() {
  if [[ -z $TMS_RUN_AS ]]; then
    "$@"
  else
    setpriv --reuid="$(id -u "$TMS_RUN_AS")" --regid="$(id -g "$TMS_RUN_AS")" --clear-groups \
      env HOME="$TMS_STATE_DIR" USER="$TMS_RUN_AS" LOGNAME="$TMS_RUN_AS" "$@"
  fi
}

# private_base: the directory below which trees and state live.
private_base() {
  local inside=$TMS_ROOT/target outside
  mkdir -p "$inside"
  if ((${#inside} <= 60)) && TMS_STATE_DIR=/ as_server_user test -x "$inside"; then
    echo "$inside"
    return
  fi
  outside=/var/tmp/tms-$EUID-$(printf %s "$TMS_ROOT" | sha256sum | cut -c1-10)
  mkdir -m 0755 "$outside" 2>/dev/null || true
  # The name can be guessed by others: take it only when it is ours.
  if [[ -L $outside || ! -O $outside ]]; then
    die "$outside belongs to somebody else, so servers cannot be kept there" \
      "remove it, or set TMS_BASE to a directory that ${TMS_RUN_AS:-you} can reach"
  fi
  echo "$outside"
}

if [[ -z ${TMS_BASE:-} ]]; then TMS_BASE=$(private_base); fi
export TMS_BASE

# link_into_target NAME: makes target/NAME stand for the directory, wherever it is.
link_into_target() {
  mkdir -p "$TMS_BASE/$1"
  if [[ $TMS_BASE != "$TMS_ROOT/target" && ! -e target/$1 ]]; then ln -sfn "$TMS_BASE/$1" "target/$1"; fi
}
link_into_target pg

if [[ -z ${TMS_STATE_DIR:-} ]]; then
  link_into_target run
  TMS_STATE_DIR=$TMS_BASE/run
fi
mkdir -p "$TMS_STATE_DIR"
if [[ -n $TMS_RUN_AS && $(stat -c %U "$TMS_STATE_DIR") != "$TMS_RUN_AS" ]]; then chown "$TMS_RUN_AS:" "$TMS_STATE_DIR"; fi
export TMS_STATE_DIR

# The tree of a major; its bin is a link, because Debian's layout differs from that of the wheels.
TMS_PG_TREE=$TMS_BASE/pg/$TMS_PG_MAJOR
TMS_PG_BIN=$(readlink -f "$TMS_PG_TREE/bin" || true)
export TMS_PG_TREE TMS_PG_BIN
