#!/bin/bash
# A primary DPDK process that holds the device, and a secondary that uses it and its memory. Ends with the secondary's result.
# usage: primary-secondary.sh HUGETLBFS WORK   (output of the two comes to stand in WORK/primary and WORK/secondary)
set -euo pipefail
huge=$1 work=$2
export RUNTIME_DIRECTORY=$work
common=(--file-prefix=vfiofs "--huge-dir=$huge" -m 64 --vfio-intr=msix -a 0000:00:04.0 --log-level=lib.eal:8)
mkfifo "$work/prompt"
dpdk-test --proc-type=primary "${common[@]}" <"$work/prompt" >"$work/primary" 2>&1 &
primary=$!
exec 5>"$work/prompt"
until grep -q 'RTE>>' "$work/primary"; do
  kill -0 "$primary" || exit 1
  sleep 0.1
done
result=0
DPDK_TEST=dmadev_autotest dpdk-test --proc-type=secondary "${common[@]}" >"$work/secondary" 2>&1 </dev/null || result=$?
# Not before: a primary that ends turns the device's bus mastering off.
echo quit >&5
wait "$primary"
exit "$result"
