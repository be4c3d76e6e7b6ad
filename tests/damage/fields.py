# SPDX-License-Identifier: GPL-3.0-or-later
"""Every field of FORMAT.md as bytes on disk: (name, offset, length)."""

CONFIG = [
    ("magic", 0, 8), ("version", 8, 4), ("flags", 12, 4),
    ("repository id", 16, 16), ("required", 32, 8), ("optional", 40, 8),
    ("chunk least", 48, 4), ("chunk average", 52, 4), ("chunk most", 56, 4),
    ("frame size", 60, 4), ("pack size", 64, 4), ("level", 68, 4),
    ("made", 72, 8), ("public key", 80, 32), ("zeros", 112, 16),
    ("mac", 128, 32),
]

KEY_SLOT = [
    ("magic", 0, 8), ("version", 8, 1), ("kind", 9, 1), ("zeros 1", 10, 2),
    ("passes", 12, 4), ("memory", 16, 4), ("zeros 2", 20, 4), ("made", 24, 8),
    ("salt", 32, 16), ("repository id", 48, 16), ("nonce", 64, 24),
    ("wrapped key", 88, 32), ("tag", 120, 16), ("label", 136, 48),
    ("zeros 3", 184, 56), ("checksum", 240, 16),
]

PACK_HEADER = [
    ("magic", 0, 8), ("version", 8, 1), ("kind", 9, 1), ("sealing", 10, 1),
    ("zero", 11, 1), ("repository id", 12, 16), ("zeros", 28, 4),
]

# From the object's end.
PACK_FOOTER = [
    ("trailer length", -32, 4), ("footer zeros", -28, 4),
    ("footer magic", -24, 8), ("checksum", -16, 16),
]


def box(name, offset, length):
    return [
        (name + " nonce", offset, 24),
        (name + " bytes", offset + 24, length - 40),
        (name + " tag", offset + length - 16, 16),
    ]


def envelope(size):
    return [
        ("magic", 0, 4), ("kind", 4, 1), ("sealing", 5, 1), ("zeros", 6, 2),
        ("length", 8, 4),
    ] + box("box", 12, size - 12)


# LMDB's two meta pages (see repo/index/index_layout.c) and the head of other pages.
INDEX_META = [
    ("page head", 0, 16), ("magic", 16, 4), ("version", 20, 4),
    ("address", 24, 8), ("map size", 32, 8), ("free list", 40, 48),
    ("main tree", 88, 48), ("last page", 136, 8), ("transaction", 144, 8),
]
INDEX_PAGE = [
    ("page number", 0, 8), ("flags", 10, 2), ("lower", 12, 2),
    ("upper", 14, 2), ("pointers", 16, 64), ("nodes", 2048, 2048),
]
INDEX_FILTER = [
    ("magic", 0, 8), ("nonce", 8, 16), ("generation", 24, 8),
    ("blocks", 32, 8), ("zeros", 40, 24), ("bits", 64, 4096),
]
