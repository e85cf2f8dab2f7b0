"""Prints the configuration space of a function as the user of its VFIO device reads it, for `lspci -F FILE`:

    config.py [DIRECTORY] BDF

DIRECTORY is where the host is mounted; without, it is this one. What sysfs shows of the same function can be something else."""
import fcntl
import os
import struct
import sys

VFIO_DEVICE_BIND_IOMMUFD = 0x3B76
VFIO_DEVICE_GET_REGION_INFO = 0x3B6C
VFIO_PCI_CONFIG_REGION_INDEX = 7

*place, function = sys.argv[1:]
root = place[0] if place else ""
name = os.listdir(f"{root}/sys/bus/pci/devices/{function}/vfio-dev")[0]
device = os.open(f"{root}/dev/vfio/devices/{name}", os.O_RDWR)
iommufd = os.open(f"{root}/dev/iommu", os.O_RDWR)
fcntl.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, struct.pack("=IIiI", 16, 0, iommufd, 0))
asked = struct.pack("=IIIIQQ", 32, 0, VFIO_PCI_CONFIG_REGION_INDEX, 0, 0, 0)
size, offset = struct.unpack("=16xQQ", fcntl.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, asked))
config = os.pread(device, size, offset)
print(f"{function} as its user reads it")
for at in range(0, len(config), 16):
    print(f"{at:02x}: {config[at:at + 16].hex(' ')}")
