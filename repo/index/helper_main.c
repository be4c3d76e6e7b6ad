/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs-index: LMDB in a process of its own; see helper.h. */
#include "helper.h"

int main(int argc, char **argv)
{
	struct helper helper;
	helper_begin(&helper, argc, argv);
	if (strcmp(helper.mode, WIRE_READ) == 0)
		return helper_read_main(&helper);
	return helper_write_main(&helper);
}
