#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""plaintext.py FILE...: each holds lines of text that a terminal only shows:
UTF-8 without controls, direction marks or anything else invisible. What ends in
.json must be JSON of that kind as well. Prints what is not; status 1 then."""
import json
import sys


def check(path):
    with open(path, "rb") as f:
        data = f.read()
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        return f"no UTF-8 at byte {e.start}"
    for n, line in enumerate(text.split("\n"), 1):
        for c in line:
            if not c.isprintable():
                return f"line {n} has U+{ord(c):04X}: {line[:200]!a}"
    if path.endswith(".json"):
        try:
            json.loads(text)
        except ValueError as e:
            return f"no JSON: {e}"
    return None


bad = [(path, check(path)) for path in sys.argv[1:]]
for path, why in bad:
    if why:
        print(f"{path}: {why}")
sys.exit(any(why for _, why in bad))
