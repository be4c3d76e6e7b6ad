#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""damage.py BUILD DIRECTORY CASES: damages each field of each kind of object of
two repositories (encrypted and not) in each way and runs the commands on it.

CASES is "all" or how many for both repositories: then an evenly spread sample,
one way for each field that is chosen. Each command must end by itself with
status 0, 1 or 3, say something on stderr if it isn't 0, take at most 64 MiB
more than on the undamaged repository, and show no wrong byte. What verify
--read-data does not find must be harmless by design (cases.HARMLESS), and then
everything is there."""

import collections
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time

import cases
import repository

MEMORY_MORE = 64 << 10  # KiB
MOUNT_EACH = 7          # one of so many cases is also mounted
PRUNE_EACH = 3          # and pruned


class Failure(Exception):
    pass


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").digest()


class Bench:
    """One prepared repository with all that is checked on it."""

    def __init__(self, build, directory, encrypted, seconds, check_memory):
        os.makedirs(directory)
        self.directory, self.encrypted = directory, encrypted
        self.check_memory = check_memory
        self.programs = repository.Programs(build, directory, seconds)
        self.prepare()

    # --- preparing ---

    def make_files(self):
        """Data that compresses and data that doesn't, holes, a tree with a
        node above its leaves; what they held at each backup."""
        self.files = self.directory + "/files"
        os.mkdir(self.files)
        seed = hashlib.sha256(b"noise").digest()
        noise = b"".join(hashlib.sha256(seed + i.to_bytes(4, "little")).digest()
                         for i in range(40000))
        text = b"".join(b"line %d of a text\n" % i for i in range(60000))
        with open(self.files + "/mixed", "wb") as f:
            f.write(noise[:700001] + text)
        with open(self.files + "/sparse", "wb") as f:
            for at in (0, 20 << 20, 40 << 20):
                f.seek(at)
                f.write(noise[at >> 20:(at >> 20) + 100000] + text[:50000])
            f.truncate((48 << 20) + 5)
        self.originals = {}

    def backup(self, source, repo, snapshots):
        names = sorted(glob.glob(self.files + "/*"))
        r = self.programs.must("amberfs", "backup", "--json", repo, "--name",
                               source, *names)
        new = set(glob.glob(repo + "/snapshots/*/*")) - snapshots
        snapshots |= new
        name = os.path.relpath(new.pop(), repo)
        self.originals[name] = {os.path.basename(n): digest(n) for n in names}
        return name

    def change_files(self, seed):
        with open(self.files + "/mixed", "r+b") as f:
            f.seek(300000)
            f.write(hashlib.sha256(seed).digest() * 3000)

    def foreign(self, init):
        path = self.directory + "/foreign"
        init(path)
        with open(path + "/config", "rb") as f:
            return f.read()

    def prepare(self):
        p, pristine = self.programs, self.directory + "/pristine"
        if self.encrypted:
            with open(self.directory + "/key", "wb") as f:
                f.write(os.urandom(64))
            with open(self.directory + "/key2", "wb") as f:
                f.write(os.urandom(64))
            p.env["AMBERFS_KEY_FILE"] = self.directory + "/key"
        options = [] if self.encrypted else ["--no-encryption"]
        init = lambda path: p.must("amberfs", "init", path, *options)
        self.made = {"seed": self.encrypted, "foreign config":
                     self.foreign(init)}
        init(pristine)
        self.make_files()
        snapshots = set()
        self.made["a1"] = self.backup("a", pristine, snapshots)
        index = p.index_of(pristine)
        with open(index + "/filter", "rb") as f:
            older = {"index/filter": f.read()}
        with open(index + "/data.mdb", "rb") as f:
            older["index/data.mdb"] = f.read()
        self.change_files(b"second")
        self.made["a2"] = self.backup("a", pristine, snapshots)
        self.change_files(b"third")
        self.made["b"] = self.backup("b", pristine, snapshots)
        self.change_files(b"fourth")
        self.now = {n: digest(n) for n in glob.glob(self.files + "/*")}
        self.boxes = self.hold(pristine)
        self.copy = repository.Copy(pristine, self.directory + "/work",
                                    index)
        # One that was made for the copy.
        shutil.rmtree(index)
        p.must("amberfs", "verify", self.copy.work)
        self.copy.keep_index(self.directory + "/state")
        self.cases = list(cases.all_cases(self.made, self.copy, self.boxes,
                                          older))

    def hold(self, pristine):
        """Objects of the other kinds, and a session that lives until we end."""
        argv = [self.programs.build + "/tests/damage/damage-prepare", pristine]
        if self.encrypted:
            argv.append(self.directory + "/key2")
        self.holder = subprocess.Popen(argv, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True,
                                       env=self.programs.env)
        boxes = collections.defaultdict(list)
        for line in self.holder.stdout:
            if line == "ready\n":
                return boxes
            name, kind, number, at, length = line.split()
            boxes[name].append((kind, number, int(at), int(length)))
        raise SystemExit("damage-prepare failed")

    def end(self):
        self.holder.stdin.close()
        self.holder.wait()

    # --- one case ---

    def run(self, label, *argv):
        return self.check(label, self.programs.run(*argv))

    def check(self, label, r):
        if r.end != "exit" or r.status not in (0, 1, 3):
            raise Failure(f"{label}: {r.end} {r.status}: {r.err[:600]}")
        if r.status != 0 and not r.err.strip():
            raise Failure(f"{label}: status {r.status}, and says nothing")
        good = self.memory.get(label, (0, ""))[0]
        if self.check_memory and good and r.memory > good + MEMORY_MORE:
            raise Failure(f"{label}: {r.memory} KiB, and {good} on a good "
                          "repository")
        if r.memory > self.peaks.get(label, (0, ""))[0]:
            self.peaks[label] = (r.memory, self.case)
        return r

    def compare(self, label, directory, files, whole):
        """Files that have their names are right; all are there if WHOLE."""
        for name, right in files.items():
            path = directory + "/" + name
            if os.path.lexists(path):
                if digest(path) != right:
                    raise Failure(f"{label}: WRONG BYTES in {name}")
            elif whole:
                raise Failure(f"{label}: status 0 without {name}")
        for name in set(os.listdir(directory)) - set(files):
            raise Failure(f"{label}: {name} is left over")

    def restore(self, snapshot, files):
        out = self.directory + "/out"
        shutil.rmtree(out, ignore_errors=True)
        os.mkdir(out)
        spec = snapshot.removeprefix("snapshots/")
        r = self.run("restore", "amberfs", "restore", self.copy.work, spec,
                     out + "/x")
        if os.path.isdir(out + "/x"):
            self.compare(f"restore of {spec}", out + "/x", files,
                         r.status == 0)
        elif r.status == 0:
            raise Failure(f"restore of {spec}: status 0, and nothing there")
        return r.status == 0

    def restore_all(self):
        return {s for s, files in self.originals.items()
                if self.restore(s, files)}

    def back_up(self, case):
        before = set(glob.glob(self.copy.work + "/snapshots/a/*"))
        r = self.run("backup", "amberfs", "backup", self.copy.work, "--name",
                     "a", *sorted(self.now))
        if case.warns and case.warns not in r.err:
            raise Failure(f"backup: no warning with \"{case.warns}\"")
        if r.status == 0:
            files = {os.path.basename(n): d for n, d in self.now.items()}
            new = set(glob.glob(self.copy.work + "/snapshots/a/*")) - before
            if len(new) != 1 or not self.restore(
                    os.path.relpath(new.pop(), self.copy.work), files):
                raise Failure("a backup that succeeded can't be restored")

    def read_mounted(self, at):
        """Each file of each snapshot is right, or reading it fails."""
        for snapshot, files in self.originals.items():
            directory = at + "/" + snapshot.removeprefix("snapshots/")
            for name, right in files.items():
                try:
                    same = digest(directory + "/" + name) == right
                except OSError:
                    continue
                if not same:
                    raise Failure(f"mount: WRONG BYTES in {name}")

    def mount(self):
        at = self.directory + "/mnt"
        os.makedirs(at, exist_ok=True)
        mount = self.programs.start("amberfs", "mount", "-f", self.copy.work,
                                    at)
        while not os.path.ismount(at) and mount.process.poll() is None:
            time.sleep(0.01)
        try:
            if os.path.ismount(at):
                self.read_mounted(at)
        finally:
            subprocess.run(["umount", at], stderr=subprocess.DEVNULL,
                           check=False)
            r = mount.wait()
        self.check("mount", r)

    def look(self):
        work = self.copy.work
        for argv in (["list"], ["sessions"], ["index"]):
            self.run(argv[0], "amberfs", *argv, work)
        self.run("show", "amberfs", "show", work, "a/latest")
        return self.run("verify --packs", "amberfs", "verify", work,
                        "--packs").status

    def judge(self, case, packs, verified, whole):
        """Which way the damage was noticed, if it was."""
        missing = set(self.originals) - whole - case.lost
        if verified == 0 and missing:
            raise Failure(f"verify finds nothing, but {missing} is not whole")
        if verified != 0:
            return "found"
        # Nothing reads a pack's checksum but this.
        if packs != 0 and case.what.endswith(" checksum"):
            return "found by --packs"
        if case.cant_tell:
            return "can't be told"
        kind = case.what.split(",")[0].rstrip(" 12").removesuffix(" name")
        kind = kind.split(" ")[0] if kind.startswith("index") else kind
        if kind in cases.HARMLESS:
            return "harmless"
        raise Failure("verify --read-data finds nothing")

    def prune(self, whole):
        """What can be restored before can be restored afterwards."""
        self.run("prune", "amberfs", "prune", "--wait", "0", self.copy.work)
        lost = whole - self.restore_all()
        if lost:
            raise Failure(f"prune: {lost} was whole before")

    def try_case(self, case, mounted, pruned):
        self.case = case
        case.change(self.copy)
        if case.unseen:
            shutil.rmtree(self.directory + "/state")
            os.mkdir(self.directory + "/state")
        packs = self.look()
        verified = self.run("verify", "amberfs", "verify", "--read-data",
                            self.copy.work).status
        whole = self.restore_all()
        if mounted:
            self.mount()
        self.back_up(case)
        if pruned:
            self.prune(whole)
        self.run("forget", "amberfs", "forget", self.copy.work, "b/latest")
        return self.judge(case, packs, verified, whole)

    def good(self):
        """The undamaged repository: everything works, and what it takes."""
        self.memory, self.peaks = {}, {}
        none = cases.Case("nothing", "as it is", lambda copy: None,
                          cant_tell="nothing to tell")
        if self.try_case(none, True, True) != "can't be told":
            raise Failure("a good repository is found damaged")
        if self.restore_all() != set(self.originals) - {self.made["b"]}:
            raise Failure("a good repository can't be restored")
        self.memory, self.peaks = self.peaks, {}
        self.copy.reset()


def sample(all_cases, count):
    """COUNT of them, evenly over what is damaged; which way depends on what."""
    by_what = collections.defaultdict(list)
    for case in all_cases:
        by_what[case.what].append(case)
    chosen = []
    groups = list(by_what.values())
    turn = 0
    while len(chosen) < min(count, len(all_cases)):
        for group in groups:
            salt = hashlib.sha256(group[0].what.encode()).digest()[0]
            if turn < len(group):
                chosen.append(group[(salt + turn) % len(group)])
        turn += 1
    step = len(chosen) / count
    return [chosen[int(i * step)] for i in range(min(count, len(chosen)))]


def main():
    build, directory, wanted = sys.argv[1:4]
    sanitized = os.environ.get("DAMAGE_SANITIZED") == "yes"
    only = os.environ.get("DAMAGE_ONLY", "")
    seconds = 120 if sanitized else 40
    failures = tried = 0
    begin = time.monotonic()
    for encrypted in (True, False):
        name = "encrypted" if encrypted else "unencrypted"
        bench = Bench(build, directory + "/" + name, encrypted, seconds,
                      not sanitized)
        try:
            bench.good()
            chosen = bench.cases if wanted == "all" else \
                sample(bench.cases, int(wanted) // 2)
            ways = collections.Counter()
            for i, case in enumerate(chosen):
                if only and only not in str(case):
                    continue
                tried += 1
                try:
                    ways[bench.try_case(case, i % MOUNT_EACH == 0,
                                        i % PRUNE_EACH == 0)] += 1
                except Failure as e:
                    failures += 1
                    print(f"FAIL {name}, {case}: {e}", flush=True)
                bench.copy.reset()
        finally:
            bench.end()
        said = ", ".join(f"{n} {w}" for w, n in sorted(ways.items()))
        print(f"{name}: {len(chosen)} of {len(bench.cases)} cases: {said}")
        for label, (peak, case) in sorted(bench.peaks.items()):
            print(f"  {label}: at most {peak >> 10} MiB ({case}); "
                  f"{bench.memory.get(label, (0, ''))[0] >> 10} without damage",
                  flush=True)
    print(f"{tried} tried, {tried - failures} survived, "
          f"{time.monotonic() - begin:.0f} s")
    sys.exit(failures > 0)


main()
