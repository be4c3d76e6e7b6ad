/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the fuzz entries share. Each entry is one file with one function,
 * LLVMFuzzerTestOneInput, for one decoder. It aborts where the decoder breaks
 * its promise; libFuzzer (meson option "fuzz") makes up inputs, run_files.c
 * (any other build) takes them from files.
 *
 * What a decoder needs beside the bytes (a place in the tree, an object's name)
 * stands before them in the input. Integers are little-endian.
 */
#ifndef AMBERFS_TESTS_FUZZ_H
#define AMBERFS_TESTS_FUZZ_H

#include "repo/crypto/seal.h"

/* Called by libFuzzer and run_files.c. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts, with the place, unless CONDITION holds. */
#define must(condition)                                                        \
	((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
void fuzz_broken(const char *file, int line, const char *what)
		__attribute__((noreturn, cold));

/* Aborts on -ENOMEM: an input has asked for too much. Returns true for 0. */
bool fuzz_accepted(int err);

/* Where the input is read; what is not there is zeros. */
struct input {
	const uint8_t *at;
	size_t left;
};
uint8_t input_u8(struct input *in);
uint32_t input_u32(struct input *in);
uint64_t input_u64(struct input *in);
/* Up to the next line end, which is taken too: a string to free. */
char *input_line(struct input *in);

/* A fixed repository id and a seal with a fixed key, made once. */
extern const uint8_t fuzz_repo_id[REPO_ID_SIZE];
const struct seal *fuzz_seal(bool encrypted);

/* TEXT is an escaped name (section 14 of FORMAT.md), told from the rule alone
 * and not with the code under test. */
bool fuzz_is_escaped(const char *text);

#endif
