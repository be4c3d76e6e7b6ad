# SPDX-License-Identifier: GPL-3.0-or-later
"""A prepared repository, a working copy that is damaged and put right again,
and the programs run on it with their time and memory bounded."""

import glob
import os
import shutil
import subprocess
import tempfile


class Result:
    """END is "exit", "signal" or "late"; STATUS the number with it; MEMORY
    KiB at its peak."""

    def __init__(self, end, status, memory, out, err):
        self.end, self.status, self.memory = end, status, memory
        self.out, self.err = out, err


class Running:
    """A program under way, with its output in files."""

    def __init__(self, programs, argv):
        self.out = tempfile.TemporaryFile(dir=programs.directory)
        self.err = tempfile.TemporaryFile(dir=programs.directory)
        self.report = tempfile.NamedTemporaryFile("r", dir=programs.directory)
        self.process = subprocess.Popen(
            [programs.build + "/tests/damage/damage-bounded",
             str(programs.seconds), self.report.name, *argv],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
            env=programs.env)

    def wait(self):
        if self.process.wait() != 0:
            raise SystemExit("damage-bounded failed")
        end, status, memory = self.report.read().split()
        self.out.seek(0)
        self.err.seek(0)
        r = Result(end, int(status), int(memory), self.out.read(),
                   self.err.read().decode(errors="replace"))
        for f in (self.out, self.err, self.report):
            f.close()
        return r


class Programs:
    """amberfs of a build directory, with an environment of its own."""

    def __init__(self, build, directory, seconds):
        self.build, self.directory, self.seconds = build, directory, seconds
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("AMBERFS_")}
        self.env["HOME"] = directory
        self.env["AMBERFS_STATE_DIR"] = directory + "/state"
        self.env["XDG_CACHE_HOME"] = directory + "/cache"
        self.env["PATH"] = ":".join(
            [build + "/repo/commands", build + "/fs", build + "/ingest",
             self.env["PATH"]])

    def index_of(self, repo):
        """Where the index of a repository and its copies is."""
        with open(repo + "/config", "rb") as f:
            return self.env["XDG_CACHE_HOME"] + "/amberfs/" + \
                f.read()[16:32].hex()

    def start(self, *argv):
        return Running(self, argv)

    def run(self, *argv):
        return self.start(*argv).wait()

    def must(self, *argv):
        r = self.run(*argv)
        if r.end != "exit" or r.status != 0:
            raise SystemExit(f"{argv}: {r.end} {r.status}: {r.err}")
        return r


def link_tree(source, to):
    """Copies a tree with hard links: nothing changes an object in place."""
    shutil.copytree(source, to, copy_function=os.link, symlinks=True)


class Copy:
    """A working copy of a repository that is put right after each case. The
    objects are hard links; the index has its own files, whose inodes it knows,
    and gets its bytes back."""

    def __init__(self, pristine, work, index):
        self.pristine, self.work = pristine, work
        self.index_directory = index
        link_tree(pristine, work)
        self.objects = {}
        for directory, _, names in os.walk(pristine):
            for name in names:
                path = os.path.join(directory, name)
                self.objects[os.path.relpath(path, pristine)] = \
                    os.lstat(path).st_ino
        self.index = {}
        self.state = None

    def keep_index(self, state):
        """Remembers the index as it is now, and what the machine has seen."""
        for path in glob.glob(self.index_directory + "/*"):
            with open(path, "rb") as f:
                self.index[path] = f.read()
        self.state = state
        shutil.copytree(state, state + ".kept")

    def _clear(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _reset_objects(self):
        there = set()
        for directory, directories, names in os.walk(self.work):
            for name in names + [f for f in directories
                                 if os.path.islink(directory + "/" + f)]:
                path = os.path.join(directory, name)
                rel = os.path.relpath(path, self.work)
                if self.objects.get(rel) == os.lstat(path).st_ino:
                    there.add(rel)
                else:
                    self._clear(path)
        for rel in self.objects:
            if rel in there:
                continue
            path = os.path.join(self.work, rel)
            if os.path.lexists(path):
                self._clear(path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.link(os.path.join(self.pristine, rel), path)

    def _reset_index(self):
        directory = self.index_directory
        if os.path.islink(directory) or os.path.isfile(directory):
            os.unlink(directory)
        os.makedirs(directory, exist_ok=True)
        for path in glob.glob(directory + "/*") + glob.glob(directory + "/.*"):
            if path not in self.index:
                self._clear(path)
        for path, data in self.index.items():
            # In place where it can be: a new inode is a foreign index.
            if os.path.lexists(path) and not os.path.isfile(path):
                self._clear(path)
            with open(path, "r+b" if os.path.exists(path) else "wb") as f:
                f.write(data)
                f.truncate()

    def reset(self):
        self._reset_objects()
        self._reset_index()
        shutil.rmtree(self.state)
        shutil.copytree(self.state + ".kept", self.state)

    # --- what damages it ---

    def path(self, name):
        if name == "index" or name.startswith("index/"):
            return self.index_directory + name.removeprefix("index")
        return os.path.join(self.work, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, data):
        """Objects are links: a new file. The index's are written in place."""
        path = self.path(name)
        if not name.startswith("index/"):
            if os.path.lexists(path):
                os.unlink(path)
            with open(path, "wb") as f:
                f.write(data)
            return
        with open(path, "r+b") as f:
            f.write(data)
            f.truncate()

    def remove(self, name):
        self._clear(self.path(name))
