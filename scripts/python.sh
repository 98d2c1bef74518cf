#!/usr/bin/env bash
# Makes the Python environment target/tools/py: it fetches server wheels and holds the checks that come from PyPI.
# python.sh REQUIREMENTS_FILE...: installs these, once per content of the file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

venv=target/tools/py
make_venv() {
  # A venv names its own path: after the clone was moved it is made again.
  if ! "$venv/bin/python" -c '' 2>/dev/null || ! "$venv/bin/pip" --version >/dev/null 2>&1; then
    rm -rf "$venv"
    run_logged venv "making a Python environment" python3 -m venv "$venv" ||
      die "python3 -m venv failed" "on Debian it needs the package python3-venv"
  fi
}

install_requirements() {
  local file stamp
  make_venv
  for file in "$@"; do
    stamp=$venv/.$(basename "$file").installed
    cmp -s "$file" "$stamp" && continue
    run_logged "pip-$(basename "$file" .txt)" "installing from $file" \
      "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$file" || die "pip install failed"
    cp "$file" "$stamp"
  done
}

with_lock python install_requirements "$@"
