/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listing for people. Names come from guests' owners, so every one of them
 * passes through name_display before it meets the terminal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "listing.h"

#define TEXT_MAX 1024
#define INDENT "    "

enum column { TARGET, DEVICE, FORMAT, VIRTUAL, ALLOCATED, BACKUP, COLUMNS };

static const char *const titles[COLUMNS] = { "DISK", "DEVICE", "FORMAT",
	"SIZE", "ALLOCATED", "BACKUP" };

struct row {
	char cells[COLUMNS][SIZE_TEXT_MAX];
};

/* Counts characters, not bytes. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(const char *s, int width, bool right)
{
	int pad = width - width_of(s);

	if (pad < 0)
		pad = 0;
	if (right)
		printf("%*s%s  ", pad, "", s);
	else
		printf("%s%*s  ", s, pad, "");
}

static const char *verdict(const struct listed_disk *d)
{
	if (d->plan.empty)
		return "-";
	if (d->why_not)
		return "no";
	return d->why_full ? "full" : "incremental";
}

static void make_row(struct row *r, const struct listed_disk *d)
{
	const struct domain_disk *disk = d->plan.disk;
	const char *format = disk->source.format;

	name_display(r->cells[TARGET], SIZE_TEXT_MAX, disk->target);
	strcpy(r->cells[DEVICE], domain_xml_device_name(disk->device));
	name_display(r->cells[FORMAT], SIZE_TEXT_MAX,
			d->plan.empty || !format ? "-" : format);
	strcpy(r->cells[VIRTUAL], "-");
	strcpy(r->cells[ALLOCATED], "-");
	if (d->sizes_known) {
		size_format(r->cells[VIRTUAL], d->virtual_size);
		size_format(r->cells[ALLOCATED], d->allocated);
	}
	strcpy(r->cells[BACKUP], verdict(d));
}

static void print_path(const char *before, const char *path)
{
	char shown[TEXT_MAX];

	printf("%s%s", before, name_display(shown, sizeof(shown), path));
}

static void print_source(const struct listed_disk *d)
{
	const struct disk_source *s = &d->plan.disk->source;
	const struct chain *chain = &d->plan.chain;

	if (!s->present) {
		fputs("no medium", stdout);
	} else if (s->type == SOURCE_VOLUME) {
		print_path("volume ", s->volume);
		print_path(" of pool ", s->pool);
		if (chain->count)
			print_path(": ", chain->files[0].path);
	} else if (s->type == SOURCE_NETWORK) {
		print_path("", s->protocol ? s->protocol : "network");
		print_path(":", s->name ? s->name : "");
		if (s->host)
			print_path(" at ", s->host);
	} else if (s->path) {
		print_path("", s->path);
	} else {
		fputs(domain_xml_source_name(s->type), stdout);
	}
	if (s->sliced)
		printf(" (%llu bytes at %llu)",
				(unsigned long long)s->slice_size,
				(unsigned long long)s->slice_offset);
	putchar('\n');
}

/* What is below the disk's own image, under it, and why it can't be backed up:
 * whole sentences, so further left. */
static void print_more(const struct listed_disk *d, int indent, int note)
{
	const struct chain *chain = &d->plan.chain;
	char shown[TEXT_MAX], sizes[SIZE_TEXT_MAX];

	for (unsigned i = 1; i < chain->count; i++) {
		const struct chain_file *f = &chain->files[i];

		printf("%*son %s (%s", indent, "",
				name_display(shown, sizeof(shown), f->path),
				f->format);
		if (f->seen)
			printf(", %s", size_format(sizes, f->allocated));
		puts(")");
	}
	if (d->why_not && !d->plan.empty)
		printf("%*sno backup: %s\n", note, "",
				name_display(shown, sizeof(shown),
						d->why_not));
	if (d->why_full)
		printf("%*sread in full each time: %s\n", note, "",
				d->why_full);
}

static void print_disks(const struct listed_domain *d, struct row *rows)
{
	int width[COLUMNS], indent = (int)strlen(INDENT);

	for (int c = 0; c < COLUMNS; c++) {
		width[c] = (int)strlen(titles[c]);
		for (unsigned i = 0; i < d->disk_count; i++)
			if (width_of(rows[i].cells[c]) > width[c])
				width[c] = width_of(rows[i].cells[c]);
		indent += width[c] + 2;
	}
	fputs(INDENT, stdout);
	for (int c = 0; c < COLUMNS; c++)
		print_cell(titles[c], width[c], c == VIRTUAL || c == ALLOCATED);
	puts("SOURCE");
	for (unsigned i = 0; i < d->disk_count; i++) {
		fputs(INDENT, stdout);
		for (int c = 0; c < COLUMNS; c++)
			print_cell(rows[i].cells[c], width[c],
					c == VIRTUAL || c == ALLOCATED);
		print_source(&d->disks[i]);
		print_more(&d->disks[i], indent,
				(int)strlen(INDENT) + width[TARGET] + 2);
	}
}

static void print_head(const struct domain_facts *f)
{
	char shown[TEXT_MAX], a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];

	printf("%s: %s (%s)\n", name_display(shown, sizeof(shown), f->name),
			f->state, f->reason);
	printf(INDENT "UUID %s, ", f->uuid);
	if (f->id >= 0)
		printf("id %d, ", f->id);
	printf("%s%s%s%s\n", f->persistent ? "persistent" : "transient",
			f->autostart ? ", autostart" : "",
			f->managed_save ? ", has a saved state" : "",
			f->shut_off ? "" : ", active");
	size_format(a, f->memory);
	size_format(b, f->max_memory);
	printf(INDENT "OS type %s, memory %s of %s, %u vCPU%s, ",
			f->os_type ? f->os_type : "unknown", a, b, f->vcpus,
			f->vcpus == 1 ? "" : "s");
	printf("CPU time %s\n",
			duration_format(a, (double)f->cpu_ns / 1e9));
}

static int print_domain(const struct listed_domain *d)
{
	char shown[TEXT_MAX];
	struct row *rows;

	print_head(&d->facts);
	if (d->problem)
		printf(INDENT "%s\n",
				name_display(shown, sizeof(shown),
						d->problem));
	else if (d->disk_count == 0)
		puts(INDENT "no disks");
	if (d->disk_count == 0)
		return 0;
	rows = calloc(d->disk_count, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (unsigned i = 0; i < d->disk_count; i++)
		make_row(&rows[i], &d->disks[i]);
	print_disks(d, rows);
	free(rows);
	return 0;
}

int listing_text_print(const struct listing *l)
{
	int err = 0;

	if (l->count == 0)
		puts("no domains");
	for (unsigned i = 0; i < l->count && !err; i++) {
		if (i > 0)
			putchar('\n');
		err = print_domain(&l->domains[i]);
	}
	if (!err && ferror(stdout))
		err = fail_errno(-EIO, "writing the list");
	return err;
}
