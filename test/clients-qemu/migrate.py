"""Moves a guest from function to function, each in a QEMU of its own, once its console says PATTERN:

    migrate.py FILES FILES-AS-QEMU-SEES-THEM "BDF BDF…" PATTERN QEMU-COMMAND…

QEMU's command gets the function (with options of vfio-pci behind it), and `NAME` in it becomes the number of the QEMU. Prints a line per move; ends when the guest has."""
import atexit
import json
import os
import socket
import subprocess
import sys
import time

files, seen, functions, pattern, *command = sys.argv[1:]


class Qemu:
    def __init__(self, number, function, *more):
        control = f"{number}.qmp"
        words = [word.replace("NAME", str(number)) for word in command]
        device = f"vfio-pci,host={function},iommufd=iommufd0,enable-migration=on"
        qmp = f"unix:{seen}/{control},server=on,wait=off"
        self.console = f"{files}/{number}.log"
        self.process = subprocess.Popen([*words, "-device", device, "-qmp", qmp, *more])
        atexit.register(self.process.kill)
        self.lines = self.connect(f"{files}/{control}").makefile("rw")
        self.lines.readline()
        self.call("qmp_capabilities")

    def connect(self, path):
        while self.process.poll() is None:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(path)
                return connection
            except OSError:
                time.sleep(0.05)
        sys.exit(f"QEMU ended with {self.process.returncode}")

    def call(self, name, **arguments):
        self.lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                sys.exit(f"{name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def says(self, text):
        with open(self.console, errors="replace") as console:
            return text in console.read()


first, *others = functions.split()
here = Qemu(0, first)
while not here.says(pattern):
    time.sleep(0.05)
    if here.process.poll() is not None:
        sys.exit("the guest ended too early")
for number, function in enumerate(others, 1):
    place = f"unix:{seen}/{number}.migration"
    there = Qemu(number, function, "-incoming", place)
    here.call("migrate", uri=place)
    while (state := here.call("query-migrate"))["status"] not in ("completed", "failed"):
        time.sleep(0.02)
    if state["status"] == "failed" or state["vfio"]["transferred"] == 0:
        sys.exit(f"to {function}: {state}")
    here.call("quit")
    here.process.wait()
    here = there
    print(f"moved to {function}", flush=True)
sys.exit(here.process.wait())
