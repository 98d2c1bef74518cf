# Sourced by every script: where the repository is, how to speak, how to run a long command quietly.
# shellcheck shell=bash

TMS_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$TMS_ROOT" || exit
export TMS_ROOT
# Scripts call scripts: the clock is that of the first one.
export TMS_STARTED=${TMS_STARTED:-$(date +%s)}
TMS_LOG=$TMS_ROOT/target/log
mkdir -p "$TMS_LOG"

# The majors the project is tested on, the first being the one that is developed on.
TMS_MAJORS=(15 16 18)
export TMS_MAJORS

say() { printf '[%4ds] %s\n' $(($(date +%s) - TMS_STARTED)) "$*"; }

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# run_logged NAME WHAT COMMAND...: one line when it starts, a sign of life every half minute, one line when
# it ends; the output goes to target/log/NAME.log, and its end is shown when the command fails.
# (A shell function given as COMMAND must chain its steps with &&: errexit does not reach into it.)
run_logged() {
  local name=$1 what=$2 log began=$SECONDS status=0 watcher
  shift 2
  log=$TMS_LOG/$name.log
  say "$what"
  sign_of_life "$log" "$began" &
  watcher=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$watcher" 2>/dev/null || true
  wait "$watcher" 2>/dev/null || true
  if ((status)); then
    say "$what: FAILED after $((SECONDS - began))s; the end of target/log/$name.log:"
    tail -n "${TMS_TAIL:-40}" "$log" | sed 's/^/    /'
  elif ((SECONDS - began >= 10)); then
    say "$what: done in $((SECONDS - began))s"
  fi
  return "$status"
}

# The subshell is ended from outside: it must not leave its sleep behind holding the caller's terminal.
sign_of_life() {
  local nap=
  trap '[[ -z $nap ]] || kill "$nap" 2>/dev/null; exit 0' TERM
  while :; do
    sleep 30 >/dev/null 2>&1 &
    nap=$!
    wait "$nap"
    # What a nested script says about its own waiting is stripped to what it waits for.
    say "  still at it after $((SECONDS - $2))s: $(tail -n 20 "$1" 2>/dev/null | grep -v '^{' | tail -n 1 | tr '\r\t' '  ' |
      sed -E 's/^(\[ *[0-9]+s\] *)?(still at it after [0-9]+s: *)?//' | cut -c1-100)"
  done
}

# place FILE DESTINATION [MODE]: replaces DESTINATION only when it differs, and by rename, so that a server that
# has the old library mapped keeps the old one whole.
place() {
  local source=$1 destination=$2 mode=${3:-0644}
  if cmp -s "$source" "$destination"; then return 0; fi
  install -m "$mode" "$source" "$destination.new.$$"
  mv -f "$destination.new.$$" "$destination"
}

# with_lock NAME COMMAND...: two terminals may ask for the same thing at once.
with_lock() {
  local name=$1 lock
  shift
  mkdir -p target
  exec {lock}>"target/.$name.lock"
  flock "$lock"
  "$@"
  exec {lock}>&-
}
