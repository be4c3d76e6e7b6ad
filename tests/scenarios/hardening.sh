#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Goal of this test: the programs are built with the protections that Debian's
# hardening=+all gives, and with those that the processor has.
. "$(dirname "$0")/../functions.sh"
need_program readelf objdump jq
! sanitized || skip "sanitizers have checks of their own"

optimization=$(jq -r '.[] | select(.name == "optimization") | .value' \
  "$AMBERFS_BUILD/meson-info/intro-buildoptions.json")
case $optimization in
  1 | 2 | 3 | s) ;;
  *) skip "not an optimised build (optimization=$optimization)" ;;
esac

for program in repo/commands/amberfs fs/amberfs-mount ingest/amberfs-ingest; do
  file=$AMBERFS_BUILD/$program
  readelf -hlW "$file" >"$T/headers"
  readelf -dW "$file" >"$T/dynamic"
  readelf --dyn-syms -W "$file" >"$T/symbols"
  objdump -d --no-show-raw-insn "$file" >"$T/code"

  found -E 'Type: +DYN' <"$T/headers" || die "$program: not a PIE"
  found 'Flags:.* PIE' <"$T/dynamic" || die "$program: not a PIE"
  found GNU_RELRO <"$T/headers" || die "$program: no RELRO"
  found BIND_NOW <"$T/dynamic" || die "$program: symbols are bound late"
  found -E 'GNU_STACK .* RW ' <"$T/headers" ||
    die "$program: the stack is executable"
  found -w __stack_chk_fail <"$T/symbols" || die "$program: no stack protector"
  for call in memcpy snprintf vsnprintf; do
    found "__${call}_chk" <"$T/symbols" || die "$program: $call is not fortified"
  done
  # Debian's crt1.o has no CET note, which leaves the programs without theirs;
  # what the compiler did is seen in the code.
  case $(uname -m) in
    x86_64)
      grep -A1 '<main>:' "$T/code" | found endbr64 ||
        die "$program: no -fcf-protection"
      found -E 'orq? +[$]0x0,.*[(]%rsp' <"$T/code" ||
        die "$program: no -fstack-clash-protection"
      ;;
    aarch64)
      found -wE 'paciasp|bti' <"$T/code" ||
        die "$program: no -mbranch-protection"
      ;;
  esac
done
