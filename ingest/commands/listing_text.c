/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listing as text. Names come from guests' owners, so each passes through
 * name_display() before it is printed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "listing.h"
#include "repo/base/error.h"
#include "repo/base/table.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_identity.h"

#define TEXT_MAX 1024
#define INDENT "    "

enum { TARGET, DEVICE, FORMAT, VIRTUAL, ALLOCATED, BACKUP, SOURCE, COLUMNS };

static const char *verdict(const struct listed_disk *disk)
{
	if (disk->plan.empty)
		return "-";
	if (disk->why_not != NULL)
		return "no";
	return disk->why_full != NULL ? "full" : "incremental";
}

/* Appends to OUT, of TEXT_MAX bytes, what can be printed of PATH. */
static void add_path(char *out, const char *before, const char *path)
{
	char shown[TEXT_MAX];
	size_t len = strlen(out);
	snprintf(out + len, TEXT_MAX - len, "%s%s", before,
			name_display(shown, sizeof(shown), path));
}

static void describe_source(char out[TEXT_MAX], const struct listed_disk *disk)
{
	const struct disk_source *source = &disk->plan.disk->source;
	const struct chain *chain = &disk->plan.chain;
	char slice[64];
	out[0] = '\0';
	if (!source->present) {
		add_path(out, "", "no medium");
	} else if (source->type == SOURCE_VOLUME) {
		add_path(out, "volume ", source->volume);
		add_path(out, " of pool ", source->pool);
		if (chain->count)
			add_path(out, ": ", chain->files[0].path);
	} else if (source->type == SOURCE_NETWORK) {
		add_path(out, "",
				source->protocol != NULL ? source->protocol
							 : "network");
		add_path(out, ":", source->name != NULL ? source->name : "");
		if (source->host != NULL)
			add_path(out, " at ", source->host);
	} else {
		add_path(out, "",
				source->path != NULL
						? source->path
						: domain_xml_source_name(
								source->type));
	}
	snprintf(slice, sizeof(slice), " (%llu bytes at %llu)",
			(unsigned long long)source->slice_size,
			(unsigned long long)source->slice_offset);
	if (source->sliced)
		add_path(out, "", slice);
}

/* The files that the disk's image stands on, each in a line of its own. */
static void add_chain(struct table *table, const struct chain *chain)
{
	for (unsigned i = 1; i < chain->count; i++) {
		const struct chain_file *file = &chain->files[i];
		char text[TEXT_MAX] = "", size[SIZE_TEXT_MAX];
		add_path(text, "on ", file->path);
		add_path(text, " (", file->format);
		if (file->seen)
			add_path(text, ", ",
					size_format(size, file->allocated));
		add_path(text, "", ")");
		const char *cells[COLUMNS] = { [SOURCE] = text };
		table_add(table, cells);
	}
}

static void add_disk(struct table *table, const struct listed_disk *d)
{
	const struct domain_disk *disk = d->plan.disk;
	const char *type = disk->source.format;
	char target[TEXT_MAX] = "", format[TEXT_MAX], virtual[SIZE_TEXT_MAX],
	     allocated[SIZE_TEXT_MAX], source[TEXT_MAX];
	add_path(target, INDENT, disk->target);
	name_display(format, sizeof(format),
			d->plan.empty || type == NULL ? "-" : type);
	describe_source(source, d);
	const char *cells[COLUMNS] = { target,
		domain_xml_device_name(disk->device), format,
		d->sizes_known ? size_format(virtual, d->virtual_size) : "-",
		d->sizes_known ? size_format(allocated, d->allocated) : "-",
		verdict(d), source };
	table_add(table, cells);
	add_chain(table, &d->plan.chain);
}

/* Why a disk can't be backed up, or not incrementally. */
static void print_reasons(const struct listed_disk *disk)
{
	char target[TEXT_MAX], shown[TEXT_MAX];
	name_display(target, sizeof(target), disk->plan.disk->target);
	if (disk->why_not != NULL && !disk->plan.empty)
		printf(INDENT "no backup of %s: %s\n", target,
				name_display(shown, sizeof(shown),
						disk->why_not));
	if (disk->why_full != NULL)
		printf(INDENT "%s is read in full each time: %s\n", target,
				disk->why_full);
}

static int print_disks(const struct listed_domain *domain)
{
	static const struct table_column columns[COLUMNS] = {
		[TARGET] = { INDENT "DISK", TABLE_LEFT },
		[DEVICE] = { "DEVICE", TABLE_SPARE },
		[FORMAT] = { "FORMAT", TABLE_SPARE },
		[VIRTUAL] = { "SIZE", TABLE_RIGHT },
		[ALLOCATED] = { "ALLOCATED", TABLE_RIGHT | TABLE_SPARE },
		[BACKUP] = { "BACKUP", TABLE_LEFT },
		[SOURCE] = { "SOURCE", TABLE_WRAP },
	};
	struct table *table = table_new(columns, COLUMNS);
	for (unsigned i = 0; i < domain->disk_count; i++)
		add_disk(table, &domain->disks[i]);
	int err = table_print(table);
	for (unsigned i = 0; i < domain->disk_count; i++)
		print_reasons(&domain->disks[i]);
	return err;
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
	char shown[SNAPSHOT_SHOWN_MAX], owner[SNAPSHOT_IDENTITY_TEXT_MAX];
	if (last == NULL)
		printf(INDENT "no backup in this repository\n");
	else
		printf(INDENT "last backup %s, made on %s%s\n",
				snapshot_shown(shown, last->object),
				NAME_SHOWN(last->host),
				snapshot_is_complete(last) ? ""
							   : ", incomplete");
	if (domain->name_taken != NULL)
		printf(INDENT "the source %s belongs to %s, not to this "
			      "domain\n",
				NAME_SHOWN(domain->name_taken->source),
				snapshot_identity_text(owner,
						domain->name_taken));
}

static int print_domain(const struct listing *listing,
		const struct listed_domain *domain)
{
	char shown[TEXT_MAX];
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
	return domain->disk_count == 0 ? 0 : print_disks(domain);
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
