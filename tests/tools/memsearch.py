#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""memsearch.py PID|FILE...: looks for secrets in what a core dump of a process
would hold (its memory but for what madvise(MADV_DONTDUMP) leaves out), or in
files. Standard input has a line for each secret: NAME and its bytes in hex.
They are looked for as they are, and as text in hex. Prints "WHERE: NAME" for
each that is found; status 1 then, 2 if something can't be searched."""
import os
import re
import sys


def regions(pid):
    """(start, end) of the mappings that are readable and not left out."""
    with open(f"/proc/{pid}/smaps") as f:
        one = None
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if m:
                one = m
            elif line.startswith("VmFlags:") and one:
                flags = line.split()[1:]
                if "rd" in flags and "dd" not in flags and \
                        one[4] not in ("[vvar]", "[vsyscall]"):
                    yield int(one[1], 16), int(one[2], 16), one[4]


def memory(pid):
    with open(f"/proc/{pid}/mem", "rb", 0) as f:
        for start, end, name in regions(pid):
            try:
                f.seek(start)
                yield f"process {pid} {name or 'anonymous'}", f.read(end - start)
            except OSError:
                pass


def contents(path):
    with open(path, "rb") as f:
        yield path, f.read()


secrets = [line.split() for line in sys.stdin]
if not secrets:
    sys.exit("memsearch: no secrets given")
found = 0
for what in sys.argv[1:]:
    if what.isdigit() and not any(regions(what)):
        sys.exit(2)
    for where, data in (memory if what.isdigit() else contents)(what):
        for name, digits in secrets:
            if bytes.fromhex(digits) in data or digits.encode() in data:
                print(f"{where}: {name}")
                found = 1
sys.exit(found)
