/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listing as text. Names come from guests' owners, so each passes through
 * name_display() before it is printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_identity.h"

#define TEXT_MAX 1024
#define INDENT "    "

enum column { TARGET, DEVICE, FORMAT, VIRTUAL, ALLOCATED, BACKUP, COLUMNS };

static const char *const titles[COLUMNS] = { "DISK", "DEVICE", "FORMAT", "SIZE",
	"ALLOCATED", "BACKUP" };

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

static const char *verdict(const struct listed_disk *disk)
{
	if (disk->plan.empty)
		return "-";
	if (disk->why_not != NULL)
		return "no";
	return disk->why_full != NULL ? "full" : "incremental";
}

static void make_row(struct row *row, const struct listed_disk *d)
{
	const struct domain_disk *disk = d->plan.disk;
	const char *format = disk->source.format;
	name_display(row->cells[TARGET], SIZE_TEXT_MAX, disk->target);
	strcpy(row->cells[DEVICE], domain_xml_device_name(disk->device));
	name_display(row->cells[FORMAT], SIZE_TEXT_MAX,
			d->plan.empty || format == NULL ? "-" : format);
	strcpy(row->cells[VIRTUAL], "-");
	strcpy(row->cells[ALLOCATED], "-");
	if (d->sizes_known) {
		size_format(row->cells[VIRTUAL], d->virtual_size);
		size_format(row->cells[ALLOCATED], d->allocated);
	}
	strcpy(row->cells[BACKUP], verdict(d));
}

static void print_path(const char *before, const char *path)
{
	char shown[TEXT_MAX];
	printf("%s%s", before, name_display(shown, sizeof(shown), path));
}

static void print_source(const struct listed_disk *disk)
{
	const struct disk_source *source = &disk->plan.disk->source;
	const struct chain *chain = &disk->plan.chain;
	if (!source->present) {
		fputs("no medium", stdout);
	} else if (source->type == SOURCE_VOLUME) {
		print_path("volume ", source->volume);
		print_path(" of pool ", source->pool);
		if (chain->count)
			print_path(": ", chain->files[0].path);
	} else if (source->type == SOURCE_NETWORK) {
		print_path("",
				source->protocol != NULL ? source->protocol
							 : "network");
		print_path(":", source->name != NULL ? source->name : "");
		if (source->host != NULL)
			print_path(" at ", source->host);
	} else if (source->path != NULL) {
		print_path("", source->path);
	} else {
		fputs(domain_xml_source_name(source->type), stdout);
	}
	if (source->sliced)
		printf(" (%llu bytes at %llu)",
				(unsigned long long)source->slice_size,
				(unsigned long long)source->slice_offset);
	putchar('\n');
}

/* The backing files, and why the disk can't be backed up (whole sentences, so
 * less indented). */
static void print_more(const struct listed_disk *disk, int indent, int note)
{
	const struct chain *chain = &disk->plan.chain;
	char shown[TEXT_MAX], sizes[SIZE_TEXT_MAX];
	for (unsigned i = 1; i < chain->count; i++) {
		const struct chain_file *file = &chain->files[i];
		printf("%*son %s (%s", indent, "",
				name_display(shown, sizeof(shown), file->path),
				file->format);
		if (file->seen)
			printf(", %s", size_format(sizes, file->allocated));
		puts(")");
	}
	if (disk->why_not != NULL && !disk->plan.empty)
		printf("%*sno backup: %s\n", note, "",
				name_display(shown, sizeof(shown),
						disk->why_not));
	if (disk->why_full != NULL)
		printf("%*sread in full each time: %s\n", note, "",
				disk->why_full);
}

static void print_disks(const struct listed_domain *domain, struct row *rows)
{
	int width[COLUMNS], indent = (int)strlen(INDENT);
	for (int c = 0; c < COLUMNS; c++) {
		width[c] = (int)strlen(titles[c]);
		for (unsigned i = 0; i < domain->disk_count; i++)
			if (width_of(rows[i].cells[c]) > width[c])
				width[c] = width_of(rows[i].cells[c]);
		indent += width[c] + 2;
	}
	fputs(INDENT, stdout);
	for (int c = 0; c < COLUMNS; c++)
		print_cell(titles[c], width[c], c == VIRTUAL || c == ALLOCATED);
	puts("SOURCE");
	for (unsigned i = 0; i < domain->disk_count; i++) {
		fputs(INDENT, stdout);
		for (int c = 0; c < COLUMNS; c++)
			print_cell(rows[i].cells[c], width[c],
					c == VIRTUAL || c == ALLOCATED);
		print_source(&domain->disks[i]);
		print_more(&domain->disks[i], indent,
				(int)strlen(INDENT) + width[TARGET] + 2);
	}
}

static void print_head(const struct domain_facts *facts)
{
	char shown[TEXT_MAX], a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	printf("%s: %s (%s)\n", name_display(shown, sizeof(shown), facts->name),
			facts->state, facts->reason);
	printf(INDENT "UUID %s, ", facts->uuid);
	if (facts->id >= 0)
		printf("id %d, ", facts->id);
	printf("%s%s%s%s\n", facts->persistent ? "persistent" : "transient",
			facts->autostart ? ", autostart" : "",
			facts->managed_save ? ", has a managed save image" : "",
			facts->shut_off ? "" : ", active");
	size_format(a, facts->memory);
	size_format(b, facts->max_memory);
	printf(INDENT "OS type %s, memory %s of %s, %u vCPU%s, ",
			facts->os_type != NULL ? facts->os_type : "unknown", a,
			b, facts->vcpus, facts->vcpus == 1 ? "" : "s");
	printf("CPU time %s\n",
			duration_format(a, (double)facts->cpu_ns / 1e9));
}

static void print_left_out(const struct listed_domain *domain)
{
	char what[TEXT_MAX];
	for (unsigned i = 0; i < domain->left_out.count; i++) {
		const struct domain_unstored *one = &domain->left_out.items[i];
		printf(INDENT "no backup of %s: %s\n",
				name_display(what, sizeof(what), one->what),
				one->why);
	}
}

static void print_checkpoints(const struct listed_domain *domain)
{
	unsigned count = 0, orphans = listing_orphans(domain);
	for (unsigned i = 0; listing_checkpoint(domain, &i) != NULL;)
		count++;
	if (count > 0)
		printf(INDENT "%u checkpoint%s of amberfs: virsh undefine, "
			      "snapshot-create and snapshot-revert\n" INDENT
			      "need 'amberfs checkpoint remove' first\n",
				count, count == 1 ? "" : "s");
	if (orphans > 0)
		printf(INDENT "%u bitmap%s of amberfs without a checkpoint: "
			      "see 'amberfs checkpoint remove'\n",
				orphans, orphans == 1 ? "" : "s");
}

static void print_backups(const struct listed_domain *domain)
{
	const struct snapshot *last = domain->last_backup;
	char time[UTC_TEXT_MAX], owner[SNAPSHOT_IDENTITY_TEXT_MAX];
	if (last == NULL)
		printf(INDENT "no backup in this repository\n");
	else
		printf(INDENT "last backup %s/%s, made on %s%s\n", last->source,
				utc_format(time, last->time), last->host,
				snapshot_is_complete(last) ? ""
							   : ", incomplete");
	if (domain->name_taken != NULL)
		printf(INDENT "the source %s belongs to %s, not to this "
			      "domain\n",
				domain->name_taken->source,
				snapshot_identity_text(owner,
						domain->name_taken));
}

static int print_domain(const struct listing *listing,
		const struct listed_domain *domain)
{
	char shown[TEXT_MAX];
	struct row *rows;
	print_head(&domain->facts);
	if (listing->of_repository)
		print_backups(domain);
	print_checkpoints(domain);
	if (domain->problem != NULL)
		printf(INDENT "%s\n",
				name_display(shown, sizeof(shown),
						domain->problem));
	else if (domain->disk_count == 0)
		puts(INDENT "no disks");
	print_left_out(domain);
	if (domain->disk_count == 0)
		return 0;
	rows = calloc(domain->disk_count, sizeof(*rows));
	if (rows == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < domain->disk_count; i++)
		make_row(&rows[i], &domain->disks[i]);
	print_disks(domain, rows);
	free(rows);
	return 0;
}

int listing_text_print(const struct listing *listing)
{
	int err = 0;
	if (listing->count == 0)
		puts("no domains");
	for (unsigned i = 0; i < listing->count && err == 0; i++) {
		if (i > 0)
			putchar('\n');
		err = print_domain(listing, &listing->domains[i]);
	}
	if (err != 0)
		return err;
	if (ferror(stdout))
		return fail_errno(-EIO, "writing the list");
	return 0;
}
