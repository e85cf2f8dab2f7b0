"""The driver that libvirt chooses for a device (src/util/virpci.c: virPCIDeviceFindBestVFIOVariant()), printed: BDF as the argument."""
import os, re, sys

FIELDS = re.compile(r'v(.+?)d(.+?)sv(.+?)sd(.+?)bc(.+?)sc(.+?)i(.+)$')

with open(f'/sys/bus/pci/devices/{sys.argv[1]}/modalias') as file:
    device = FIELDS.match(file.read().rstrip('\n').removeprefix('pci:')).groups()
best = None
with open(f'/lib/modules/{os.uname().release}/modules.alias') as file:
    for line in file:
        words = line.split()
        if len(words) != 3 or words[0] != 'alias' or not words[1].startswith('vfio_pci:'):
            continue
        alias = FIELDS.match(words[1].removeprefix('vfio_pci:')).groups()
        if all(want in ('*', have) for want, have in zip(alias, device)):
            wildcards = alias.count('*')
            if best is None or wildcards < best[0]:
                best = (wildcards, words[2])
print(best[1])
