# The steps of scripts/demo; sourced with `host` (an empty directory) and `work` set. Each prints what it saw and returns 0 when
# that is what it should be.
# shellcheck shell=bash disable=SC2154

# shows COMMAND…: the command line, as a user would type it.
shows() { echo "    \$ $*"; }
indent() { sed 's/^/    /'; }

# expect FILE PATTERN: the line of a log that proves something.
expect() {
  grep -m1 -E "$2" "$1" | indent && return
  echo "    expected in the output: $2" && tail -n 20 "$1" | indent
  return 1
}

lspci_on_the_mount() {
  local log=$work/lspci
  shows "vfiofs mount --at $host --background"
  scripts/vfiofs mount --at "$host" --background | indent
  shows "lspci -nnk -O sysfs.path=$host/sys/bus/pci"
  lspci -A linux-sysfs -O "sysfs.path=$host/sys/bus/pci" -nnk >"$log"
  indent <"$log"
  expect "$log" '\[8086:2021\]' >/dev/null
  expect "$log" 'Kernel driver in use: vfio-pci' >/dev/null
  scripts/vfiofs umount "$host" | indent
}

dpdk_dmadev() {
  local log=$work/dpdk function=0000:00:04.0
  local command=(dpdk-test --no-huge -m 256 --vfio-intr=msix -a "$function")
  # dpdk-test takes its commands from a file as from a terminal, and its runtime files need a place of their own.
  shows "DPDK_TEST=dmadev_autotest vfiofs run -- ${command[*]}"
  RUNTIME_DIRECTORY=$work DPDK_TEST=dmadev_autotest scripts/vfiofs run -- "${command[@]}" 2>&1 </dev/null |
    tr '\r' '\n' >"$log"
  expect "$log" "Probe PCI driver: .* device: $function"
  expect "$log" "Test dmadev instance [0-9]+ \[$function\]"
  expect "$log" '^Test OK'
}

c_client() {
  local log=$work/client
  shows 'vfiofs run -- build/clients/ioat-cdev'
  scripts/vfiofs run -- build/clients/ioat-cdev >"$log" 2>&1 || { indent <"$log"; return 1; }
  indent <"$log"
}

c_client_static() {
  local log=$work/client
  shows 'vfiofs run -- build/clients/ioat-cdev-static'
  if readelf --program-headers build/clients/ioat-cdev-static | grep -w INTERP; then
    echo '    it has an interpreter: not static'
    return 1
  fi
  scripts/vfiofs run -- build/clients/ioat-cdev-static >"$log" 2>&1 || { indent <"$log"; return 1; }
  indent <"$log"
}
