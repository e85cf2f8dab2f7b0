#!/usr/bin/env python3
"""Writes down what a host's sysfs is and what it does: the same program on the oracle's real kernel and on ours.

usage: transcript.py SCENARIO > transcript

First the whole of the trees in ROOTS (type, mode, size, link target, contents of every entry), then each step of the scenario with its
result and the lines of those trees that it changed. Steps are lines of words; `\\n`, `\\0` and `\\s` (space) in them are meant:

  write PATH TEXT      open O_WRONLY, one write()        pwrite PATH OFFSET HEX
  read PATH            open O_RDONLY, read to the end    pread PATH OFFSET LENGTH
  open PATH MODE       r, w, rw, a, creat                mmap PATH LENGTH
  chmod PATH OCTAL                                       chown PATH UID GID
  as UID               the steps after it are a process of that user without capabilities (0: root again)
"""
import errno
import json
import mmap
import os
import re
import stat
import sys

ROOTS = [
    "/sys/bus/pci", "/sys/bus/pci_express", "/sys/class/iommu", "/sys/class/pci_bus", "/sys/class/vfio", "/sys/class/vfio-dev",
    "/sys/class/misc/vfio", "/sys/class/misc/iommu", "/sys/devices/virtual/iommu", "/sys/devices/virtual/vfio",
    "/sys/devices/virtual/misc/vfio", "/sys/devices/virtual/misc/iommu", "/sys/kernel/iommu_groups",
    "/sys/module/vfio", "/sys/module/vfio_pci", "/sys/module/vfio_pci_core", "/sys/module/vfio_iommu_type1", "/sys/module/iommufd",
]
# Children of kernel drivers and of other subsystems (ACPI's companions, drivers of the oracle's own kernel): not the PCI core's.
FOREIGN = re.compile(
    r"^(net|nvme|virtio\d+|ptp|firmware_node|hwmon|leds|physical_node|pools|waiting_for_supplier|[A-Z]{3,4}[0-9A-F]{4}:\d\d"
    r"|uio_pci_generic|vp-vdpa|virtio_vfio_pci|8250_.*|exar_serial)$"
)
# Numbers that the kernel hands out in the order in which its drivers start.
NODE_NUMBERS = re.compile(r"/(virtual/misc/iommu|virtual/vfio/[^/]+|vfio-dev/[^/]+)/(dev|uevent)$")
VOLATILE = re.compile(r"/power/(runtime_(active|suspended)_time)$")
IRQ_NUMBER = re.compile(r"/msi_irqs/\d+$")
# No contents: reading has effects, or they belong to memory.
BLIND = re.compile(r"/(resource\d(_wc)?|rom)$")


def roots():
    yield from ROOTS
    for name in sorted(os.listdir("/sys/devices")):
        if name.startswith("pci"):
            yield "/sys/devices/" + name


def contents(path, mode):
    if not mode & 0o444 or BLIND.search(path):
        return None
    # A machine is read two hundred times: no call more than it takes. A text comes whole; where it ends, the step `read` asks.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return errno.errorcode[error.errno]
    try:
        return os.read(fd, 65536)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(fd)


def shown(path, data):
    if isinstance(data, str):
        return "!" + data
    if VOLATILE.search(path):
        return "<milliseconds>"
    if path.endswith("/irq") and int(data) > 23:
        return "<message>"
    text = data.decode("latin1")
    if NODE_NUMBERS.search(path):
        text = re.sub(r"^(MAJOR=)?2\d\d(?=[:\n])", r"\1<major>", text)
        text = re.sub(r"(^10:|MINOR=)2\d\d$", r"\1<minor>", text, flags=re.M)
    return json.dumps(text)[1:-1]


def walk(path, lines):
    info = os.lstat(path)
    kind, mode = stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode)
    owner = f" {info.st_uid}:{info.st_gid}" if info.st_uid or info.st_gid else ""
    if kind == stat.S_IFLNK:
        lines[path] = "-> " + os.readlink(path)
        return
    if kind == stat.S_IFDIR:
        names = sorted(os.listdir(path))
        foreign = {name for name in names if FOREIGN.match(name)}
        others = sum(stat.S_ISDIR(os.lstat(f"{path}/{name}").st_mode) for name in foreign)
        lines[path] = f"dir {mode:04o}{owner} {info.st_nlink - others}"
        messages = 0
        for name in names:
            if name in foreign:
                continue
            child = f"{path}/{name}"
            if IRQ_NUMBER.search(child):
                with open(child) as file:
                    lines[f"{path}/#{messages}"] = file.read().strip()
                messages += 1
                continue
            walk(child, lines)
        return
    data = contents(path, mode)
    head = f"{mode:04o}{owner} {info.st_size}"
    if path.endswith("/config") and isinstance(data, bytes):
        lines[path] = f"{head} ({len(data)} read)"
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            if any(row):
                lines[f"{path}@{at:03x}"] = row.hex(" ")
        return
    lines[path] = head if data is None else f"{head} {shown(path, data)}"


def dump():
    lines = {}
    for root in roots():
        if os.path.lexists(root):
            walk(root, lines)
    return lines


def unescape(word):
    return word.replace("\\s", " ").replace("\\n", "\n").replace("\\0", "\0").replace("\\e", "")


def opened(path, flags):
    return os.open(path, flags | os.O_CLOEXEC)


MODES = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR, "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
         "creat": os.O_WRONLY | os.O_CREAT | os.O_TRUNC}


CHANGING = {"write", "pwrite"}
OWNING = {"chmod", "chown"}


def step(words):
    verb, path, *rest = words
    if verb == "write":
        fd = opened(path, os.O_WRONLY)
        try:
            return os.write(fd, unescape(rest[0] if rest else "").encode("latin1"))
        finally:
            os.close(fd)
    if verb == "pwrite":
        fd = opened(path, os.O_WRONLY)
        try:
            return os.pwrite(fd, bytes.fromhex(rest[1]), int(rest[0], 0))
        finally:
            os.close(fd)
    if verb == "read":
        with open(path, "rb", buffering=0) as file:
            return shown(path, file.read())
    if verb == "pread":
        fd = opened(path, os.O_RDONLY)
        try:
            return os.pread(fd, int(rest[1], 0), int(rest[0], 0)).hex(" ")
        finally:
            os.close(fd)
    if verb == "chmod":
        os.chmod(path, int(rest[0], 8))
        return 0
    if verb == "chown":
        os.chown(path, int(rest[0]), int(rest[1]))
        return 0
    if verb == "open":
        os.close(opened(path, MODES[rest[0]]))
        return 0
    if verb == "mmap":
        fd = opened(path, os.O_RDONLY)
        try:
            mmap.mmap(fd, int(rest[0], 0), prot=mmap.PROT_READ).close()
            return 0
        finally:
            os.close(fd)
    raise SystemExit(f"unknown step {verb}")


def as_user(uid, words):
    """In a child: the ids of this process stay root's."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.write(write_end, result_of(words).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


def result_of(words):
    try:
        return f"= {step(words)}"
    except OSError as error:
        return f"= {errno.errorcode[error.errno]}"


def changes(before, after):
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old != new:
            if old is not None:
                yield f"  - {path} {old}"
            if new is not None:
                yield f"  + {path} {new}"


def main():
    now = dump()
    for path in sorted(now):
        print(path, now[path])
    uid = 0
    with open(sys.argv[1]) as scenario:
        steps = [line.split() for line in scenario if line.strip() and not line.startswith("#")]
    for words in steps:
        if words[0] == "as":
            uid = int(words[1])
            print("\n> as", uid)
            continue
        result = as_user(uid, words) if uid else result_of(words)
        print("\n>", *words, result)
        # What was refused changes nothing; if it did, the next step that is not refused shows it.
        if words[0] in CHANGING and not result[2:].isalpha():
            before, now = now, dump()
            for line in changes(before, now):
                print(line)
        # These change the one entry and no other.
        if words[0] in OWNING and result == "= 0":
            mine = os.path.realpath(words[1])
            entry = {}
            walk(mine, entry)
            for line in changes({mine: now.get(mine)}, {mine: entry[mine]}):
                print(line)
            now[mine] = entry[mine]
        sys.stdout.flush()


main()
