# SPDX-License-Identifier: GPL-3.0-or-later
"""All cases: each field of each kind of object x what can happen to it, and
what can happen to an object as a whole and to its name."""

import os
import random
import socket

import fields


class Case:
    """WHAT can be damaged in several ways, HOW is one of them. CHANGE damages
    a Copy. UNSEEN: the machine has never seen the repository. CAN'T TELL: a
    reader has no way to notice; a reason, or None. LOST: snapshots that the
    damage is meant to hide."""

    def __init__(self, what, how, change, unseen=False, cant_tell=None,
                 lost=(), warns=None):
        self.what, self.how, self.change = what, how, change
        self.unseen, self.cant_tell, self.lost = unseen, cant_tell, set(lost)
        self.warns = warns

    def __str__(self):
        return f"{self.what}: {self.how}"


# Kinds of objects whose content nothing depends on, and why.
HARMLESS = {
    "index": "derived: it is made anew or passed over",
    "reserve": "its bytes mean nothing",
    "session": "an unreadable one may stand on anything",
    "claim": "an unreadable one keeps others away",
    "condemned": "the name alone has the effect",
    "epoch": "the name alone has the effect",
    "damaged": "the name alone has the effect",
}


def kind_of(name, boxes):
    top = name.split("/")[0]
    if top == "packs":
        return boxes[name][0][0] + " pack"
    if name.startswith("condemned/epoch"):
        return "epoch"
    if name.startswith("sessions/keys"):
        return "claim"
    return {"keys": "key slot", "snapshots": "snapshot", "pins": "pin",
            "sessions": "session"}.get(top, top)


def layout(kind, name, size, boxes):
    if kind == "config":
        return fields.CONFIG
    if kind == "key slot":
        return fields.KEY_SLOT
    if kind.endswith(" pack"):
        found = list(fields.PACK_HEADER)
        found += [(n, size + at, length)
                  for n, at, length in fields.PACK_FOOTER]
        numbers = [b[1] for b in boxes[name] if b[1] != "trailer"]
        chosen = {numbers[0]: "first frame", numbers[-1]: "last frame",
                  "trailer": "trailer"}
        for _, number, at, length in boxes[name]:
            if number in chosen:
                found += fields.box(chosen[number], at, length)
        return found
    return fields.envelope(size)


def put(name, data):
    return lambda copy: copy.write(name, data)


def changed(data, at, new):
    return data[:at] + new + data[at + len(new):]


def field_cases(what, name, data, field, others, rng):
    """What can happen to one field. OTHERS: valid objects of the same kind."""
    label, at, length = field
    old = data[at:at + length]
    bit = rng.randrange(8 * length)
    flipped = bytearray(old)
    flipped[bit // 8] ^= 1 << bit % 8
    news = [
        ("first bit flipped", bytes([old[0] ^ 1]) + old[1:]),
        (f"bit {bit} flipped", bytes(flipped)),
        ("zeroed", bytes(length)),
        ("set", b"\xff" * length),
        ("noise", rng.randbytes(length)),
    ]
    news += [(f"that of {n}", d[at:at + length]) for n, d in others[:1]]
    seen = {old}
    for how, new in news:
        if new in seen or len(new) != length:
            continue
        seen.add(new)
        yield Case(f"{what}, {label}", how, put(name, changed(data, at, new)))
    yield Case(f"{what}, {label}", "cut off there", put(name, data[:at]))
    yield Case(f"{what}, {label}", "cut off in it",
               put(name, data[:at + length - 1]))


def as_directory(name):
    def change(copy):
        copy.remove(name)
        os.mkdir(copy.path(name))
    return change


def as_pipe(name):
    def change(copy):
        copy.remove(name)
        os.mkfifo(copy.path(name))
    return change


def as_socket(name):
    def change(copy):
        copy.remove(name)
        here = os.getcwd()
        os.chdir(os.path.dirname(copy.path(name)))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.basename(name))
        os.chdir(here)
    return change


def as_link(name, to):
    def change(copy):
        copy.remove(name)
        os.symlink(to, copy.path(name))
    return change


def as_hole(name, size):
    def change(copy):
        copy.write(name, b"")
        os.truncate(copy.path(name), size)
    return change


def gone(name):
    return lambda copy: copy.remove(name)


def moved(name, to):
    def change(copy):
        os.makedirs(os.path.dirname(copy.path(to)), exist_ok=True)
        os.rename(copy.path(name), copy.path(to))
    return change


def copied(name, to):
    def change(copy):
        data = copy.read(name)
        os.makedirs(os.path.dirname(copy.path(to)), exist_ok=True)
        copy.write(to, data)
    return change


def exchanged(a, b):
    def change(copy):
        first, second = copy.read(a), copy.read(b)
        copy.write(a, second)
        copy.write(b, first)
    return change


def whole_cases(what, name, data, others):
    """What can happen to an object as a whole."""
    removed = {"cant_tell": "as if it had been removed",
               "lost": [name] if name.startswith("snapshots/") else []}
    yield Case(what, "empty", put(name, b""))
    yield Case(what, "one byte more", put(name, data + b"\0"))
    yield Case(what, "one byte less", put(name, data[:-1]))
    yield Case(what, "twice", put(name, data + data))
    yield Case(what, "zeros", put(name, bytes(len(data))))
    yield Case(what, "a hole of 1 TiB", as_hole(name, 1 << 40))
    # No object, so nothing is listed there.
    yield Case(what, "a directory", as_directory(name), **removed)
    yield Case(what, "a pipe", as_pipe(name))
    yield Case(what, "a socket", as_socket(name))
    yield Case(what, "a link to itself", as_link(name, os.path.basename(name)))
    yield Case(what, "a link to /dev/zero", as_link(name, "/dev/zero"))
    for n, d in others:
        # A slot may have any name.
        slot = removed if name.startswith("keys/") else {}
        yield Case(what, f"the whole of {n}", put(name, d), **slot)


def name_cases(made, kinds, boxes):
    """Names: exchanged, moved, gone. MADE describes the repository."""
    data = [n for n, k in kinds.items() if k == "data pack"]
    tree = [n for n, k in kinds.items() if k == "tree pack"]
    free = data[0][:11] + "0" * 28 + "11"
    for label, a, b in (("data packs", data[0], data[1]),
                        ("tree packs", tree[0], tree[1]),
                        ("a data and a tree pack", data[0], tree[0])):
        yield Case("pack name", f"{label} exchanged", exchanged(a, b))
    for label, name in (("data", data[0]), ("tree", tree[-1])):
        to = name[:9] + "/" + name[9:11] + "0" * 30
        yield Case("pack name", f"{label} pack gone", gone(name))
        yield Case("pack name", f"{label} pack has another id",
                   moved(name, name[:-2] + ("00" if name[-2:] != "00"
                                            else "11")))
        yield Case("pack name", f"{label} pack in another directory",
                   moved(name, "packs/%02x/%s" % (
                       (int(name[6:8], 16) + 1) % 256, name[9:])))
        yield Case("pack name", f"{label} pack's name too long",
                   moved(name, name + "0"))
    yield Case("pack name", "a copy under another id", copied(data[0], free))

    a1, a2, b = made["a1"], made["a2"], made["b"]
    yield Case("snapshot name", "older one in place of newer",
               lambda c: c.write(a2, c.read(a1)))
    yield Case("snapshot name", "exchanged", exchanged(a1, a2))
    yield Case("snapshot name", "another source's", exchanged(a1, b))
    later = a2[:-4] + "59Z" if a2[-4:] != "59Z" else a2[:-4] + "58Z"
    later = a2[:-16] + "20300101T000000Z"
    yield Case("snapshot name", "another time", moved(a2, later), lost=[a2])
    yield Case("snapshot name", "also at another time", copied(a2, later))
    yield Case("snapshot name", "no time", moved(a2, a2[:-1]), lost=[a2],
               cant_tell="like one that was deleted")
    yield Case("snapshot name", "newest gone", gone(a2), lost=[a2],
               cant_tell="all newer ones were deleted",
               warns="seen number")
    yield Case("snapshot name", "newest gone, never seen", gone(a2),
               lost=[a2], unseen=True,
               cant_tell="the machine has never seen the repository")
    yield Case("snapshot name", "older gone", gone(a1), lost=[a1],
               cant_tell="as if it had been forgotten")
    for name, kind in kinds.items():
        if kind in ("pin", "condemned", "epoch", "damaged", "session",
                    "claim"):
            yield Case(f"{kind} name", "gone", gone(name),
                       cant_tell="as if it had been removed")
            yield Case(f"{kind} name", "no name of its kind",
                       moved(name, os.path.dirname(name) + "/zz"),
                       cant_tell="as if it had been removed")
    yield Case("retention name", "first gone", gone("retention/1"))
    yield Case("retention name", "last gone", gone("retention/2"),
               cant_tell="as if it had not been made")
    yield Case("config name", "gone", gone("config"))
    yield Case("config name", "of another repository",
               put("config", made["foreign config"]))


def index_cases(copy, rng, older):
    for name in ("index/data.mdb", "index/filter"):
        data = copy.read(name)
        what = name.replace("/", " ")
        if name.endswith("mdb"):
            places = [("meta 0 ", 0, fields.INDEX_META),
                      ("meta 1 ", 4096, fields.INDEX_META)]
            last = len(data) // 4096 - 1
            places += [(f"page {p} ", 4096 * p, fields.INDEX_PAGE)
                       for p in sorted({2, 3, last // 2, last - 1, last})]
        else:
            places = [("", 0, fields.INDEX_FILTER)]
        for label, base, table in places:
            for field, at, length in table:
                yield from field_cases(
                    what, name, data, (label + field, base + at, length), [],
                    rng)
        yield from whole_cases(what, name, data,
                               [("an older one", older[name])])
    yield Case("index lock.mdb", "zeros",
               put("index/lock.mdb", bytes(8192)))
    yield Case("index lock.mdb", "noise",
               put("index/lock.mdb", rng.randbytes(8192)))
    for name in ("index/data.mdb", "index/filter", "index"):
        yield Case("index name", f"{name} gone", gone(name))


def all_cases(made, copy, boxes, older_index):
    rng = random.Random(made["seed"])
    kinds = {name: kind_of(name, boxes) for name in copy.objects
             if not name.endswith(".lock") and name != "reserve"}
    done = {}
    for name, kind in sorted(kinds.items()):
        # Two of a kind at most; snapshots and packs differ in what hangs on
        # them.
        done[kind] = done.get(kind, 0) + 1
        if done[kind] > 2:
            continue
        data = copy.read(name)
        what = f"{kind} {done[kind]}"
        others = [(n, copy.read(n)) for n, k in sorted(kinds.items())
                  if k == kind and n != name][:2]
        if kind == "config":
            others = [("another repository", made["foreign config"])]
        for field in layout(kind, name, len(data), boxes):
            yield from field_cases(what, name, data, field, others, rng)
        yield from whole_cases(what, name, data, others)
    yield Case("reserve", "noise", put("reserve", rng.randbytes(4096)))
    yield Case("reserve", "gone", gone("reserve"))
    yield Case("reserve", "a hole of 1 TiB", as_hole("reserve", 1 << 40))
    yield from name_cases(made, kinds, boxes)
    yield from index_cases(copy, rng, older_index)
