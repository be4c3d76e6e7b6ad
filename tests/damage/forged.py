#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""forged.py BUILD DIRECTORY all|some|few|NAME...: adds forgeries (see damage-forge) to
a repository without encryption and runs the commands on it; some is a third, few a ninth. Each must end by
itself with status 0, 1 or 3, say something if it isn't 0, and take at most
64 MiB more than without the forgery; other snapshots stay as they are."""

import os
import shutil
import subprocess
import sys
import time

import repository

MEMORY_MORE = 64 << 10  # KiB
OBJECT = "forged/20260101T000000Z"


class Failure(Exception):
    pass


class Forged:
    def __init__(self, build, directory, seconds, check_memory):
        self.directory, self.check_memory = directory, check_memory
        self.programs = repository.Programs(build, directory, seconds)
        self.forge = build + "/tests/damage/damage-forge"
        self.work, self.out = directory + "/work", directory + "/out"
        self.peaks, self.memory = {}, {}
        p = self.programs
        p.must("amberfs", "init", "--no-encryption", directory + "/good")
        with open(directory + "/file", "wb") as f:
            f.write(b"".join(b"line %d\n" % i for i in range(100000)))
        p.must("amberfs", "backup", directory + "/good", "--name", "good",
               directory + "/file")

    def run(self, label, *argv):
        return self.check(label, self.programs.run(*argv))

    def check(self, label, r):
        if r.end != "exit" or r.status not in (0, 1, 3):
            raise Failure(f"{label}: {r.end} {r.status}: {r.err[:600]}")
        if r.status != 0 and not r.err.strip():
            raise Failure(f"{label}: status {r.status}, and says nothing")
        if len(r.err) > 1 << 20:
            raise Failure(f"{label}: {len(r.err)} bytes of messages")
        peak = max(self.peaks.get(label, 0), r.memory)
        self.peaks[label] = peak
        good = self.memory.get(label, 0)
        if self.check_memory and good and peak > good + MEMORY_MORE:
            raise Failure(f"{label}: {peak} KiB, and {good} without forgery")
        return r.status

    def restore(self, spec, original):
        """True if it is whole; wrong bytes are an error."""
        shutil.rmtree(self.out, ignore_errors=True)
        status = self.run("restore", "amberfs", "restore", self.work, spec,
                          self.out)
        if status == 0 and original:
            with open(self.out + "/file", "rb") as a, \
                    open(original, "rb") as b:
                if a.read() != b.read():
                    raise Failure(f"WRONG BYTES in {spec}")
        return status == 0

    def read_mounted(self, at, opens):
        for name in os.listdir(at):
            os.stat(at + "/" + name)
        try:
            with open(at + "/good/latest/file", "rb") as a, \
                    open(self.directory + "/file", "rb") as b:
                if a.read() != b.read():
                    raise Failure("WRONG BYTES in the mount")
        except OSError as e:
            if opens:
                raise Failure("mount: the good snapshot") from e
        try:
            directory = at + "/" + OBJECT
            names = os.listdir(directory)[:100]
        except OSError:
            return
        for name in names:
            self.read_forged(directory + "/" + name)

    def read_forged(self, path):
        """Its beginning and its end, if that can be read."""
        for end in (False, True):
            try:
                fd = os.open(path, os.O_RDONLY)
            except OSError:
                return
            at = max(0, os.fstat(fd).st_size - (1 << 20)) if end else 0
            for look in (lambda: os.pread(fd, 1 << 20, at),
                         lambda: os.lseek(fd, at, os.SEEK_DATA)):
                try:
                    look()
                except OSError:
                    pass
            os.close(fd)

    def mount(self, opens):
        at = self.directory + "/mnt"
        os.makedirs(at, exist_ok=True)
        mount = self.programs.start("amberfs", "mount", "-f", self.work, at)
        while not os.path.ismount(at) and mount.process.poll() is None:
            time.sleep(0.01)
        try:
            if os.path.ismount(at):
                self.read_mounted(at, opens)
            elif opens:
                raise Failure("mount: it does not mount")
        finally:
            subprocess.run(["umount", at], stderr=subprocess.DEVNULL,
                           check=False)
            r = mount.wait()
        self.check("mount", r)

    def look(self, opens):
        for argv in (["list"], ["list", "--json"], ["sessions"]):
            self.run(argv[0], "amberfs", *argv, self.work)
        for spec in (OBJECT, "good/latest"):
            self.run("show", "amberfs", "show", self.work, spec)
        self.run("show", "amberfs", "show", "--json", self.work, OBJECT)
        self.mount(opens)

    def use(self, opens, large):
        """What writes; returns whether the forged snapshot is whole."""
        whole = large or self.restore(OBJECT, None)
        if self.restore("good/latest", self.directory + "/file") != opens:
            raise Failure("the good snapshot: not as expected")
        backup = self.run("backup", "amberfs", "backup", self.work, "--name",
                          "new", self.directory + "/file")
        if backup == 0 and not self.restore("new/latest",
                                            self.directory + "/file"):
            raise Failure("a backup that succeeded can't be restored")
        self.run("prune", "amberfs", "prune", "--wait", "0", self.work)
        if self.restore("good/latest", self.directory + "/file") != opens:
            raise Failure("the good snapshot is gone after prune")
        self.run("forget", "amberfs", "forget", self.work, OBJECT)
        return whole

    def try_one(self, name, expect):
        expect, _, large = expect.partition("-")
        if name:
            self.programs.must(self.forge, self.work, name)
        opens = expect != "closed" and name != "config-other-id"
        self.look(opens)
        found = self.run("verify", "amberfs", "verify", self.work)
        found |= self.run("verify", "amberfs", "verify", "--read-data",
                          self.work)
        whole = self.use(opens, bool(large))
        if expect in ("refused", "closed") and not found:
            raise Failure("verify does not find it")
        if expect == "whole" and found:
            raise Failure("verify finds something")
        if expect == "whole" and not whole:
            raise Failure("it can't be restored")

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.directory + "/state", ignore_errors=True)
        repository.link_tree(self.directory + "/good", self.work)
        shutil.rmtree(self.directory + "/cache", ignore_errors=True)

    def learn(self):
        """What the commands take on a good forgery."""
        for name in ("leaf-good", "leaf-largest", "node-good"):
            self.fresh()
            self.try_one(name, "whole")
        self.memory, self.peaks = self.peaks, {}


def main():
    build, directory = sys.argv[1:3]
    sanitized = os.environ.get("DAMAGE_SANITIZED") == "yes"
    b = Forged(build, directory, 200 if sanitized else 60, not sanitized)
    b.learn()
    listing = subprocess.run([b.forge, "--list"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.split("\n")
    tried = failures = 0
    begin = time.monotonic()
    wanted = sys.argv[3:]
    for number, line in enumerate(filter(None, listing)):
        name, expect = line.split()
        each = {"all": 1, "some": 3, "few": 9}.get(wanted[0])
        if number % each if each else name not in wanted:
            continue
        tried += 1
        started = time.monotonic()
        b.fresh()
        b.peaks = {}
        try:
            b.try_one(name, expect)
        except Failure as e:
            failures += 1
            print(f"FAIL {name}: {e}", flush=True)
        took = time.monotonic() - started
        worst = max(b.peaks, key=lambda x: b.peaks[x] - b.memory.get(x, 0))
        if took > 5 or \
                b.peaks[worst] > b.memory.get(worst, 0) + MEMORY_MORE // 2:
            print(f"{name}: {took:.1f} s, {worst} took "
                  f"{b.peaks[worst] >> 10} MiB", flush=True)
    print(f"{tried} tried, {tried - failures} survived, "
          f"{time.monotonic() - begin:.0f} s")
    sys.exit(failures > 0)


main()
