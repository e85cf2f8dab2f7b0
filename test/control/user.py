"""Holds a function through its cdev with REQ and ERR eventfds set: user.py ROOT BDF. Prints `ready`; at each line of input it prints one
JSON line of what it finds then, and it ends with its input."""
import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import struct
import sys

BIND_IOMMUFD, ATTACH_IOMMUFD_PT, IOAS_ALLOC, SET_IRQS = 0x3B76, 0x3B77, 0x3B81, 0x3B6E
GET_INFO, RESET = 0x3B6B, 0x3B6F
ERR, REQ = 3, 4
DATA_EVENTFD_TRIGGER = 0x24

root, bdf = sys.argv[1], sys.argv[2]
function = f"{root}/sys/bus/pci/devices/{bdf}"
cdev_path = f"{root}/dev/vfio/devices/" + os.listdir(f"{function}/vfio-dev")[0]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def eventfd():
    return libc.eventfd(0, os.O_NONBLOCK)


def call(fd, number, layout, *values):
    argument = bytearray(struct.pack(layout, *values))
    fcntl.ioctl(fd, number, argument, True)
    return struct.unpack(layout, argument)


def outcome(action):
    try:
        action()
        return "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def signalled(fd):
    return outcome(lambda: os.read(fd, 8)) == "ok"


iommufd = os.open(f"{root}/dev/iommu", os.O_RDWR)
device = os.open(cdev_path, os.O_RDWR)
spare = os.open(cdev_path, os.O_RDWR)
call(device, BIND_IOMMUFD, "IIiI", 16, 0, iommufd, 0)
call(device, ATTACH_IOMMUFD_PT, "III", 12, 0, call(iommufd, IOAS_ALLOC, "III", 12, 0, 0)[2])
events = {index: eventfd() for index in (ERR, REQ)}
for index, fd in events.items():
    call(device, SET_IRQS, "IIIIIi", 24, DATA_EVENTFD_TRIGGER, index, 0, 1, fd)
bar = libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, device, 0)
vendor = os.open(f"{function}/vendor", os.O_RDONLY)
poller = select.poll()
poller.register(vendor, select.POLLIN | select.POLLPRI)
os.chdir(function)
open("vendor").close()
print("ready", flush=True)

for _ in sys.stdin:
    print(
        json.dumps(
            {
                "err": signalled(events[ERR]),
                "req": signalled(events[REQ]),
                "config": outcome(lambda: os.pread(device, 4, 7 << 40)),
                "write": outcome(lambda: os.pwrite(device, b"\0\0\0\0", 0)),
                "info": outcome(lambda: call(device, GET_INFO, "IIIII", 20, 0, 0, 0, 0)),
                "reset": outcome(lambda: fcntl.ioctl(device, RESET)),
                "bind": outcome(lambda: call(spare, BIND_IOMMUFD, "IIiI", 16, 0, iommufd, 0)),
                "bar": ctypes.c_uint8.from_address(bar + 8).value,
                "reopened": outcome(lambda: os.close(os.open(cdev_path, os.O_RDWR))),
                "attribute": outcome(lambda: os.pread(vendor, 10, 0)),
                "polled": poller.poll(0)[0][1],
                "child": outcome(lambda: os.stat("vendor")),
                "opened child": outcome(lambda: open("vendor").close()),
                "names": len(os.listdir(".")),
            }
        ),
        flush=True,
    )
