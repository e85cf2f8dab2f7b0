# The steps of scripts/demo; sourced with `host` (an empty directory) and `work` set. Each prints what it saw and returns 0 when
# that is what it should be.
# shellcheck shell=bash disable=SC2154

# shows COMMAND…: the command line, as a user would type it.
shows() { echo "    \$ $*"; }
indent() { sed 's/^/    /'; }

# failed LOG: the end of a program's output, when it is not what it should be.
failed() {
  echo "    the end of its output:"
  tail -n 20 "$1" | indent
  return 1
}

# expect LOG PATTERN: shows the line that proves something.
expect() { grep -m1 -E "$2" "$1" | indent || { echo "    expected: $2"; failed "$1"; }; }

lspci_on_the_mount() {
  local log=$work/lspci.log
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
  local log=$work/dpdk-test.log function=0000:00:04.0
  local command=(dpdk-test --no-huge -m 128 --vfio-intr=msix -a "$function")
  # 128 MiB: without huge pages DPDK 24.11 maps page by page, and a container has room for 65535 mappings (dma_entry_limit).
  # Its runtime files would stay in /var/run.
  shows "DPDK_TEST=dmadev_autotest vfiofs run -- ${command[*]}"
  RUNTIME_DIRECTORY=$work DPDK_TEST=dmadev_autotest scripts/vfiofs run -- "${command[@]}" </dev/null 2>&1 |
    tr '\r' '\n' >"$log" || failed "$log"
  expect "$log" "ioat_dmadev_probe\\(\\): Init $function"
  expect "$log" "Test dmadev instance [0-9]+ \[$function\]"
  expect "$log" '^Test OK'
}

c_client() {
  local log=$work/client.log
  shows 'vfiofs run -- build/clients/ioat-cdev'
  scripts/vfiofs run -- build/clients/ioat-cdev >"$log" 2>&1 || failed "$log"
  indent <"$log"
}

c_client_static() {
  local log=$work/client.log
  shows 'vfiofs run -- build/clients/ioat-cdev-static'
  if readelf --program-headers build/clients/ioat-cdev-static | grep -w INTERP; then
    echo '    it has an interpreter: not static'
    return 1
  fi
  scripts/vfiofs run -- build/clients/ioat-cdev-static >"$log" 2>&1 || failed "$log"
  indent <"$log"
}
