# Shared by the scripts here; sourced with the project's folder as working directory.
# shellcheck shell=bash

say() { echo "vfiofs: $*" >&2; }

# die MESSAGE [NEXT STEP]
die() {
  say "$1"
  [ $# -lt 2 ] || say "→ $2"
  exit 1
}

# quietly NAME COMMAND…: shows the output only when the command fails.
quietly() {
  local name=$1 log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1 </dev/null; then
    rm -f "$log"
    return
  fi
  tail -n 60 "$log" >&2
  rm -f "$log"
  die "$name failed (above: the end of its output)"
}

# content_key FILE…: one word that changes when a name or the content of a file does.
content_key() {
  # Names of process substitutions differ from run to run: only their content counts.
  sha256sum "$@" | sed 's| /dev/fd/[0-9]*$||' | sha256sum | cut -c1-32
}

# is_current STAMP KEY
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
