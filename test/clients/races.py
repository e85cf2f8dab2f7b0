"""Processes that run against each other over what can be provisioned, under `vfiofs run`:

    races.py SCENARIO SECONDS

Each round lets all of them go at once and then looks at the whole state. Ends with a line of JSON: how often each came to what; or, at the
first round after which something is not as it has to be, with status 1 and the reason."""
import collections
import errno
import fcntl
import json
import mmap
import os
import random
import struct
import sys
import time
import uuid

BIND_IOMMUFD, GET_INFO, GET_REGION_INFO, SET_IRQS, RESET = 0x3B76, 0x3B6B, 0x3B6C, 0x3B6E, 0x3B6F
GROUP_SET_CONTAINER, SET_IOMMU, GROUP_GET_DEVICE_FD = 0x3B68, 0x3B66, 0x3B6A
CONFIG = 7
PCI = "/sys/bus/pci/devices"

ENGINE, CARD = "0000:00:04.0", "0000:01:00.0"


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(text).encode())
    finally:
        os.close(fd)


def read(path):
    with open(path) as file:
        return file.read().strip()


def names(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []


def must(fact, what):
    if not fact:
        raise AssertionError(what)


def race(*jobs):
    """Each in a process of its own, let go at once or nearly so: names of the errnos they ended with, or 'ok', in their order."""
    start, gate = os.pipe()
    children = []
    for job in jobs:
        child = os.fork()
        if child == 0:
            os.close(gate)
            os.read(start, 1)
            time.sleep(random.Random(os.getpid()).choice([0, 0.0005, 0.002, 0.005]))
            try:
                job()
            except OSError as error:
                os._exit(error.errno)
            except AssertionError as error:
                print(error, file=sys.stderr)
                os._exit(255)
            os._exit(0)
        children.append(child)
    os.close(start)
    os.close(gate)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    must(255 not in ended, "a process has seen something that must not be")
    must(all(code >= 0 for code in ended), f"a process was killed: {ended}")
    return [errno.errorcode.get(code, "ok" if code == 0 else code) for code in ended]


def winners(outcomes):
    return outcomes.count("ok")


# What a device is, seen from every side.


def cdev(function):
    """Path of its node. OSError(ENOENT) as whoever looks for a device that is going away gets it."""
    found = names(f"{function}/vfio-dev")
    if not found:
        raise OSError(errno.ENOENT, "no vfio device")
    return f"/dev/vfio/devices/{found[0]}"


class Open:
    """A device bound to an iommufd."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR)
        self.iommufd = os.open("/dev/iommu", os.O_RDWR)
        fcntl.ioctl(self.fd, BIND_IOMMUFD, struct.pack("=IIiI", 16, 0, self.iommufd, 0))

    def region(self, index):
        asked = struct.pack("=IIIIQQ", 32, 0, index, 0, 0, 0)
        return struct.unpack("=16xQQ", fcntl.ioctl(self.fd, GET_REGION_INFO, asked))

    def look(self):
        """Ids and class of its configuration space, and the sizes of its BARs."""
        config = os.pread(self.fd, 64, self.region(CONFIG)[1])
        return config[:4].hex() + config[9:12].hex(), [self.region(bar)[0] for bar in range(6)]

    def close(self):
        os.close(self.fd)
        os.close(self.iommufd)


def seen_in_sysfs(function):
    with open(f"{function}/config", "rb") as file:
        config = file.read(64)
    ends = [line.split() for line in read(f"{function}/resource").split("\n")[:6]]
    sizes = [int(end, 16) - int(start, 16) + 1 if int(end, 16) else 0 for start, end, _ in ends]
    files = [bar for bar in range(6) if os.path.exists(f"{function}/resource{bar}")]
    must(files == [bar for bar in range(6) if sizes[bar]], f"resource files {files} of {sizes}")
    ids = read(f"{function}/vendor") + read(f"{function}/device") + read(f"{function}/class")
    number = bytes.fromhex(ids.replace("0x", ""))
    told = number[1::-1].hex() + number[3:1:-1].hex() + number[:3:-1].hex()
    must(told == config[:4].hex() + config[9:12].hex(), f"files say {told}, config {config[:12].hex()}")
    return told, sizes


class Profiles:
    def __init__(self, bdf):
        self.function = f"{PCI}/{bdf}"
        self.names = [line.split("\t")[0] for line in read(self.path("available")).split("\n")]
        self.shapes = {}
        for name in self.names:
            write(self.path("current"), name)
            self.shapes[name] = self.whole()

    def path(self, file):
        return f"{self.function}/vfio-dev/{names(f'{self.function}/vfio-dev')[0]}/profiles/{file}"

    def whole(self):
        """The device as sysfs shows it and then its user sees it; they have to agree."""
        shown = seen_in_sysfs(self.function)
        device = Open(cdev(self.function))
        seen = device.look()
        device.close()
        must(seen == shown, f"sysfs {shown}, VFIO {seen}")
        return seen

    def check(self):
        name = read(self.path("current"))
        must(self.whole() == self.shapes[name], f"{name} is {self.whole()}, not {self.shapes[name]}")
        return name


def profile_writers():
    """Of two writers the later one stays; each write is done, and the device is wholly what `current` says."""
    device = Profiles(CARD)
    while True:
        jobs = [lambda name=name: write(device.path("current"), name) for name in device.names * 3]
        outcomes = race(*jobs)
        must(winners(outcomes) == len(jobs), f"refused: {outcomes}")
        yield device.check()


def profile_open():
    """Whoever has the device open sees one device until he closes it; writers are EBUSY meanwhile."""
    device = Profiles(CARD)

    def use():
        opened = Open(cdev(device.function))
        name, first = read(device.path("current")), opened.look()
        must(first == device.shapes[name], f"opened as {name}: {first}")
        for _ in range(2):
            must((read(device.path("current")), opened.look()) == (name, first), "it has changed under its user")
        opened.close()

    while True:
        one, other = device.names if read(device.path("current")) == device.names[1] else device.names[::-1]
        jobs = [lambda: write(device.path("current"), one), use, lambda: write(device.path("current"), one), use]
        before, outcomes = other, race(*jobs)
        must(outcomes[1] == outcomes[3] == "ok" or "EINVAL" in outcomes, f"users: {outcomes}")
        must(set(outcomes[::2]) <= {"ok", "EBUSY"}, f"writers: {outcomes}")
        must(device.check() == (one if "ok" in outcomes[::2] else before), f"{device.check()} after {outcomes}")
        yield " ".join(sorted(outcomes[::2]))


def profile_unbind():
    """The driver goes while somebody chooses: a choice that was taken is there with the next driver, another one is not."""
    device = Profiles(CARD)
    driver = "/sys/bus/pci/drivers/vfio-pci"
    while True:
        before = read(device.path("current"))
        wanted = next(name for name in device.names if name != before)
        path = device.path("current")
        outcomes = race(lambda: write(f"{driver}/unbind", CARD), lambda: write(path, wanted), lambda: write(f"{driver}/unbind", CARD))
        must(sorted(outcomes[::2]) == ["ENODEV", "ok"], f"unbind: {outcomes}")
        must(outcomes[1] in ("ok", "ENOENT", "ENODEV", "EBUSY"), f"current: {outcomes}")
        must(not names(f"{device.function}/vfio-dev"), "it has a vfio device without a driver")
        write(f"{driver}/bind", CARD)
        must(device.check() == (wanted if outcomes[1] == "ok" else before), f"{device.check()} after {outcomes}")
        yield outcomes[1]


# Mediated devices


class Parent:
    def __init__(self):
        self.path = "/sys/class/mdev_bus/" + names("/sys/class/mdev_bus")[0]
        self.types = names(f"{self.path}/mdev_supported_types")
        self.nodes = self.all_nodes()
        self.capacity = self.available(self.types[0])
        self.costs = {kind: self.capacity // self.available(kind) for kind in self.types}
        # The driver counts by itself where its types cost differently, the core where they don't.
        self.exhausted = "ENOSPC" if max(self.costs.values()) > 1 else "EUSERS"

    def available(self, kind):
        return int(read(f"{self.path}/mdev_supported_types/{kind}/available_instances"))

    def create(self, kind, name):
        write(f"{self.path}/mdev_supported_types/{kind}/create", name)

    @staticmethod
    def all_nodes():
        return (len(names("/dev/vfio/devices")), len(names("/dev/vfio")), len(names("/sys/kernel/iommu_groups")), len(names("/sys/class/vfio-dev")))

    def check(self, devices):
        """There are these devices, by name and type, each with all that belongs to it, and nothing else."""
        must(names("/sys/bus/mdev/devices") == sorted(devices), f"{names('/sys/bus/mdev/devices')}, not {sorted(devices)}")
        for name, kind in devices.items():
            function = f"{self.path}/{name}"
            must(os.path.basename(os.readlink(f"{function}/mdev_type")) == kind, f"{name} is no {kind}")
            must(os.path.exists(f"{self.path}/mdev_supported_types/{kind}/devices/{name}"), f"{kind} has no {name}")
            group = os.path.basename(os.readlink(f"{function}/iommu_group"))
            must(os.path.exists(f"/dev/vfio/{group}") and os.path.exists(cdev(function)), f"{name} has no node")
        must(self.all_nodes() == tuple(n + len(devices) for n in self.nodes), f"{self.all_nodes()} with {len(devices)} devices; without, {self.nodes}")
        taken = sum(self.costs[kind] for kind in devices.values())
        for kind in self.types:
            left = (self.capacity - taken) // self.costs[kind]
            must(self.available(kind) == left, f"{self.available(kind)} of {kind} are left, not {left}")


def fresh():
    return str(uuid.uuid4())


def remove(name):
    write(f"/sys/bus/mdev/devices/{name}/remove", 1)


def mdev_last():
    """Many want what is left: as many as there is room for get it, in whatever mixture, and the rest what the documentation says."""
    parent = Parent()
    kept = {}
    while parent.available(parent.types[0]) > 2:
        name = fresh()
        parent.create(parent.types[0], name)
        kept[name] = parent.types[0]
    while True:
        wanted = [(kind, fresh()) for kind in parent.types * 3]
        outcomes = race(*[lambda kind=kind, name=name: parent.create(kind, name) for kind, name in wanted])
        made = {name: kind for (kind, name), outcome in zip(wanted, outcomes) if outcome == "ok"}
        must(set(outcomes) == {"ok", parent.exhausted}, f"create: {outcomes}")
        must(parent.available(parent.types[0]) == 0 or len(made) == 1, f"room is left after {outcomes}")
        parent.check({**kept, **made})
        for name in made:
            remove(name)
        parent.check(kept)
        yield " ".join(sorted(made.values()))


def mdev_same():
    """Many want the same name: one gets it."""
    parent = Parent()
    while True:
        name = fresh()
        outcomes = race(*[lambda kind=kind: parent.create(kind, name) for kind in parent.types * 3])
        must(sorted(outcomes) == ["EEXIST"] * (len(outcomes) - 1) + ["ok"], f"create: {outcomes}")
        kind = os.path.basename(os.readlink(f"/sys/bus/mdev/devices/{name}/mdev_type"))
        must(kind == (parent.types * 3)[outcomes.index("ok")], "it is another one's")
        parent.check({name: kind})
        remove(name)
        parent.check({})
        yield kind


# A byte for each process that has a device open.
using = mmap.mmap(-1, mmap.PAGESIZE)


def take_away(path, text):
    """A write that returns when the last user is gone."""
    write(path, text)
    must(not any(using[:]), f"{path} has not waited for a user")


def use_until_gone(path):
    """Opens, and asks this and that: once it is open, all of it works until it is closed, whoever wants it away."""
    try:
        device = Open(path())
    except OSError as error:
        # Of two users the second one can't bind: it is open.
        must(error.errno in (errno.ENOENT, errno.ENODEV, errno.EINVAL), f"open: {error}")
        raise
    using[os.getpid() % mmap.PAGESIZE] = 1
    try:
        for _ in range(3):
            device.look()
            fcntl.ioctl(device.fd, GET_INFO, struct.pack("=IIIII", 20, 0, 0, 0, 0))
            fcntl.ioctl(device.fd, RESET)
    except OSError as error:
        must(False, f"while it is open: {error}")
    using[os.getpid() % mmap.PAGESIZE] = 0
    device.close()


def told(outcomes):
    return " ".join(sorted(outcomes))


def mdev_remove():
    """Removed by two while two use it: gone for good when the write that does it returns, and not before they let go."""
    parent = Parent()
    while True:
        name = fresh()
        parent.create(parent.types[0], name)
        path = cdev(f"{parent.path}/{name}")

        def away():
            take_away(f"/sys/bus/mdev/devices/{name}/remove", 1)
            must(name not in names("/sys/bus/mdev/devices"), "removed, and still there")
            must(parent.available(parent.types[0]) == parent.capacity, "removed, and still counted")

        outcomes = race(lambda: use_until_gone(lambda: path), away, away, lambda: use_until_gone(lambda: path))
        must(winners(outcomes[1:3]) == 1, f"remove: {outcomes}")
        must(set(outcomes[1:3]) <= {"ok", "ENOENT", "ENODEV"}, f"remove: {outcomes}")
        must(set(outcomes[::3]) <= {"ok", "ENOENT", "ENODEV", "EINVAL"}, f"users: {outcomes}")
        parent.check({})
        yield told(outcomes[::3]) + ", " + told(outcomes[1:3])


def mdev_again():
    """Made anew while it is removed: its name is taken until the last trace is gone."""
    parent = Parent()
    name = fresh()
    first, last = parent.types[0], parent.types[-1]
    parent.create(first, name)
    kind = first
    while True:
        outcomes = race(lambda: remove(name), lambda: parent.create(last, name), lambda: parent.create(first, name))
        must(outcomes[0] == "ok", f"remove: {outcomes}")
        must(winners(outcomes[1:]) <= 1 and set(outcomes[1:]) <= {"ok", "EEXIST"}, f"create: {outcomes}")
        made = {name: kind for kind, outcome in zip((last, first), outcomes[1:]) if outcome == "ok"}
        parent.check(made)
        if not made:
            parent.create(first, name)
        yield told(outcomes[1:])


def mdev_parent():
    """The parent loses its driver while devices are made: none survives it, and its types go."""
    parent = Parent()
    bdf = os.path.basename(os.path.realpath(parent.path))
    driver = os.path.realpath(f"{parent.path}/driver")
    while True:
        names_wanted = [fresh() for _ in range(4)]
        makers = [lambda name=name: parent.create(parent.types[0], name) for name in names_wanted]
        outcomes = race(makers[0], makers[1], lambda: write(f"{driver}/unbind", bdf), makers[2], makers[3])
        must(outcomes[2] == "ok", f"unbind: {outcomes}")
        makers_got = outcomes[:2] + outcomes[3:]
        must(set(makers_got) <= {"ok", "ENOENT", "ENODEV"}, f"create: {outcomes}")
        must(names("/sys/bus/mdev/devices") == [], f"left: {names('/sys/bus/mdev/devices')}")
        must(names("/sys/class/mdev_bus") == [], "the parent is still one")
        write(f"{driver}/bind", bdf)
        parent.check({})
        yield told(makers_got)


# Functions


def function_unbind():
    """A driver is taken away twice while two use the device."""
    driver, function = "/sys/bus/pci/drivers/vfio-pci", f"{PCI}/{CARD}"
    while True:
        path = cdev(function)
        outcomes = race(
            lambda: use_until_gone(lambda: path),
            lambda: take_away(f"{driver}/unbind", CARD),
            lambda: take_away(f"{driver}/unbind", CARD),
            lambda: use_until_gone(lambda: path),
        )
        must(sorted(outcomes[1:3]) == ["ENODEV", "ok"], f"unbind: {outcomes}")
        must(set(outcomes[::3]) <= {"ok", "ENOENT", "ENODEV", "EINVAL"}, f"users: {outcomes}")
        must(not os.path.exists(f"{function}/driver") and not os.path.exists(path), "it is bound still")
        write(f"{driver}/bind", CARD)
        must(os.path.exists(cdev(function)), "it is not bound again")
        yield told(outcomes[::3])


def function_remove():
    """A function is removed twice while two use it, and found again."""
    function = f"{PCI}/{CARD}"
    before = names("/dev/vfio"), names("/dev/vfio/devices"), names(PCI)
    while True:
        path = cdev(function)
        outcomes = race(
            lambda: use_until_gone(lambda: path),
            lambda: take_away(f"{function}/remove", 1),
            lambda: take_away(f"{function}/remove", 1),
            lambda: use_until_gone(lambda: path),
        )
        must(winners(outcomes[1:3]) == 1 and set(outcomes[1:3]) <= {"ok", "ENOENT", "ENODEV"}, f"remove: {outcomes}")
        must(set(outcomes[::3]) <= {"ok", "ENOENT", "ENODEV", "EINVAL"}, f"users: {outcomes}")
        must(not os.path.exists(function) and not os.path.exists(path), "it is there still")
        write("/sys/bus/pci/rescan", 1)
        # As it is found, nobody has said yet who shall have it.
        write(f"{function}/driver_override", "vfio-pci")
        write("/sys/bus/pci/drivers_probe", CARD)
        must((names("/dev/vfio"), names("/dev/vfio/devices"), names(PCI)) == before, "not all is back")
        yield told(outcomes[::3]) + ", " + told(outcomes[1:3])


def vfs_away():
    """The VFs are taken away, twice, while two of them are in use; and come again."""
    pf, vfs = f"{PCI}/0000:01:00.0", ["0000:01:00.2", "0000:01:00.3"]
    before = None
    while True:
        for vf in vfs:
            write(f"{PCI}/{vf}/driver/unbind", vf)
            write(f"{PCI}/{vf}/driver_override", "vfio-pci")
            write("/sys/bus/pci/drivers_probe", vf)
        state = names("/dev/vfio/devices"), names(PCI), len(names("/dev/vfio"))
        before = before or state
        must(state == before, f"{state}, not {before}")
        paths = [cdev(f"{PCI}/{vf}") for vf in vfs]
        outcomes = race(
            lambda: use_until_gone(lambda: paths[0]),
            lambda: take_away(f"{pf}/sriov_numvfs", 0),
            lambda: take_away(f"{pf}/sriov_numvfs", 0),
            lambda: use_until_gone(lambda: paths[1]),
        )
        must(outcomes[1:3] == ["ok", "ok"], f"sriov_numvfs: {outcomes}")
        must(set(outcomes[::3]) <= {"ok", "ENOENT", "ENODEV"}, f"users: {outcomes}")
        must(read(f"{pf}/sriov_numvfs") == "0" and not any(os.path.exists(f"{PCI}/{vf}") for vf in vfs), "VFs are left")
        must(not any(os.path.exists(path) for path in paths), "nodes are left")
        write(f"{pf}/sriov_numvfs", 2)
        yield told(outcomes[::3])


scenario, seconds = globals()[sys.argv[1]], float(sys.argv[2])
counts = collections.Counter()
end = time.monotonic() + seconds
try:
    for outcome in scenario():
        counts[outcome] += 1
        if time.monotonic() > end:
            break
except AssertionError as error:
    sys.exit(f"round {sum(counts.values()) + 1}: {error}")
print(json.dumps(counts))
