# Root file systems of Debian, made by mmdebstrap from where this system has its own packages. Sourced after lib.sh.
# shellcheck shell=bash

# mirror: of this Debian.
mirror() {
  local codename
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: $codename" | head -1
}

# debian_root SUITE TARGET ARGUMENT…: a directory or a tar file, without documentation; apt in it has the proxies of this one.
debian_root() {
  local suite=$1 target=$2 from settings
  shift 2
  from=$(mirror)
  [ -n "$from" ] || { quietly 'apt-get update' apt-get update; from=$(mirror); }
  [ -n "$from" ] || die 'apt knows no mirror of this Debian' 'check /etc/apt/sources.list: Debian main is needed'
  settings=$(apt-config dump | grep -i '^Acquire::.*proxy' || true)
  mmdebstrap "$@" ${settings:+--aptopt="$settings"} \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$target" "$from" 2>&1 | sed -u 's/^/vfiofs:   /' >&2 || die "mmdebstrap failed (above: what it said)"
}
