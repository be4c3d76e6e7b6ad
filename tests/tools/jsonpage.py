#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares JSON with the manual page amberfs-json(5).

jsonpage.py PAGE KIND FILE...: each FILE is a document of that KIND: every field of
it is in the page, and of the type named there. Prints the fields that were there.
jsonpage.py PAGE --fields: prints all fields of the page, as KIND.FIELD.
"""
import json
import re
import sys

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{9})?Z")


def read_page(path):
    kinds, codes, kind = {}, set(), None
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n").replace("\\-", "-")
        if line.startswith(".Ss "):
            kind = line[4:]
            kinds[kind] = {}
        elif line.startswith(".It Va "):
            field, what = re.fullmatch(r"\.It Va (\w+) Pq Em (.+)", line).groups()
            kinds[kind][field] = what
        elif line.startswith(".It Li ") and kind == "Problems":
            codes.add(line[7:])
    return kinds, codes


KINDS, CODES = read_page(sys.argv[1])
seen = set()
PLAIN = {
    "integer": lambda v: type(v) is int and abs(v) < 1 << 53,
    "number": lambda v: type(v) in (int, float),
    "boolean": lambda v: type(v) is bool,
    "text": lambda v: type(v) is str,
    "name": lambda v: type(v) is str,
    "code": lambda v: v in CODES,
    "document": lambda v: type(v) is dict and v.get("schema") == 1,
    "time": lambda v: type(v) is str and TIME.fullmatch(v),
}


def check(value, what, where):
    if value is None:
        return
    if what.startswith("list of "):
        if type(value) is not list:
            sys.exit(f"{where} is no list")
        for one in value:
            check(one, what[len("list of "):], where + "[]")
    elif what in PLAIN:
        if not PLAIN[what](value):
            sys.exit(f"{where} is not of type {what}: {value!r}")
    else:
        check_object(value, what, where)


def check_object(value, kind, where):
    if type(value) is not dict:
        sys.exit(f"{where} is no object: {value!r}")
    for key, inner in value.items():
        field = key
        if key.endswith("_encoded") and KINDS[kind].get(key[:-8]) == "name":
            field = key[:-8]
        if field not in KINDS[kind]:
            sys.exit(f"{where}.{key} is not in the page, as a field of \"{kind}\"")
        seen.add(f"{kind}.{field}")
        check(inner, KINDS[kind][field], f"{where}.{key}")


def check_document(path, kind):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    if list(document)[:1] != ["schema"] or document.pop("schema") != 1:
        sys.exit(f"{path}: not of schema 1")
    if "error" in document and len(document) == 1:
        kind = "error document"
    check(document.pop("errors", []), "list of problem", kind + ".errors")
    check_object(document, kind, kind)


if sys.argv[2] == "--fields":
    seen = {f"{kind}.{field}" for kind in KINDS for field in KINDS[kind]}
else:
    for name in sys.argv[3:]:
        check_document(name, sys.argv[2])
print("\n".join(sorted(seen)))
