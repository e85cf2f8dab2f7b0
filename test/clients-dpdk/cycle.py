"""Opens and closes everything a driver opens, again and again: cycle.py ROOT BDF COUNT. Prints `ready` when it is done, then waits
for the end of its input, so that what it leaked can be counted while it lives."""
import array
import ctypes
import fcntl
import mmap
import os
import struct
import sys

SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, GET_REGION_INFO = 0x3B66, 0x3B68, 0x3B6A, 0x3B6C
BIND_IOMMUFD, ATTACH_IOMMUFD_PT, IOAS_ALLOC = 0x3B76, 0x3B77, 0x3B81
TYPE1V2 = 3

root, bdf, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
function = f"{root}/sys/bus/pci/devices/{bdf}"
group_path = f"{root}/dev/vfio/" + os.path.basename(os.readlink(f"{function}/iommu_group"))
cdev_path = f"{root}/dev/vfio/devices/" + os.listdir(f"{function}/vfio-dev")[0]


libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def map_and_unmap(fd, size, offset):
    # Not mmap.mmap: that one believes st_size, which is 0 here as on a character device.
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, offset)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    libc.munmap(address, size)


def call(fd, number, layout, *values):
    """An ioctl on a struct; returns its fields afterwards."""
    argument = bytearray(struct.pack(layout, *values))
    fcntl.ioctl(fd, number, argument, True)
    return struct.unpack(layout, argument)


def through_the_group():
    container = os.open(f"{root}/dev/vfio/vfio", os.O_RDWR)
    group = os.open(group_path, os.O_RDWR)
    fcntl.ioctl(group, SET_CONTAINER, array.array("i", [container]))
    fcntl.ioctl(container, SET_IOMMU, TYPE1V2)
    # With a mutable buffer, fcntl.ioctl returns what ioctl(2) returned: the new descriptor.
    device = fcntl.ioctl(group, GET_DEVICE_FD, bytearray(bdf.encode() + b"\0"), True)
    return [device, group, container]


def through_iommufd():
    iommufd = os.open(f"{root}/dev/iommu", os.O_RDWR)
    device = os.open(cdev_path, os.O_RDWR)
    call(device, BIND_IOMMUFD, "IIiI", 16, 0, iommufd, 0)
    ioas = call(iommufd, IOAS_ALLOC, "III", 12, 0, 0)[2]
    call(device, ATTACH_IOMMUFD_PT, "III", 12, 0, ioas)
    return [device, iommufd]


for _ in range(count):
    for open_all in (through_the_group, through_iommufd):
        descriptors = open_all()
        size, offset = call(descriptors[0], GET_REGION_INFO, "IIIIQQ", 32, 0, 0, 0, 0, 0)[4:]
        map_and_unmap(descriptors[0], size, offset)
        for descriptor in descriptors:
            os.close(descriptor)
print("ready", flush=True)
sys.stdin.read()
