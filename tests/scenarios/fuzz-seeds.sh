#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: every decoder keeps its promises on what real repositories
# hold, on that with random damage, and on all that fuzzing has ever found.
. "$(dirname "$0")/../functions.sh"
need_program python3

"$TESTS/fuzz/make-seeds" "$AMBERFS_BUILD" "$T/seeds" >"$T/log" 2>&1 ||
  die "$(cat "$T/log")"

# Bytes changed, cut out, doubled and cut off, the same in every run.
python3 - "$T/seeds" "$T/changed" <<'END'
import os, random, sys
rng = random.Random(11)
for directory, _, names in sorted(os.walk(sys.argv[1])):
    for name in sorted(names):
        with open(os.path.join(directory, name), "rb") as f:
            seed = f.read()
        to = os.path.join(sys.argv[2], os.path.relpath(directory, sys.argv[1]))
        os.makedirs(to, exist_ok=True)
        for i in range(12):
            b = bytearray(seed)
            for _ in range(rng.choice((1, 1, 2, 8))):
                at = rng.randrange(len(b) + 1)
                end = min(len(b), at + rng.choice((1, 2, 4, 36, 4096)))
                piece = bytes(b[at:end])
                b[at:end] = rng.choice((b"", piece + piece, b"\0" * len(piece),
                    b"\xff" * len(piece), bytes([rng.randrange(256)])))
            if rng.randrange(8) == 0:
                del b[rng.randrange(len(b) + 1):]
            with open(os.path.join(to, f"{name}.{i}"), "wb") as f:
                f.write(b)
END

for program in "$AMBERFS_BUILD"/tests/fuzz/fuzz_*; do
  [ -f "$program" ] || continue
  entry=$(basename "$program")
  entry=${entry#fuzz_}
  directories=("$T/seeds/$entry" "$T/changed/$entry")
  [ ! -d "$TESTS/fuzz/found/$entry" ] || directories+=("$TESTS/fuzz/found/$entry")
  "$program" "${directories[@]}" >"$T/out" 2>&1 || die "$entry: $(cat "$T/out")"
  echo "$entry: $(cat "$T/out")"
done
