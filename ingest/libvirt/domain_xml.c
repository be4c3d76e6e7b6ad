/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Domain XML to structs. */
#include "domain_xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain_doc.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* libvirt's chains are at most 200 long. */
#define DEPTH_MAX 200

static const char *const device_names[] = {
	[DEVICE_DISK] = "disk",
	[DEVICE_CDROM] = "cdrom",
	[DEVICE_FLOPPY] = "floppy",
	[DEVICE_LUN] = "lun",
	[DEVICE_OTHER] = "other",
};

static const char *const source_names[] = {
	[SOURCE_FILE] = "file",
	[SOURCE_BLOCK] = "block",
	[SOURCE_VOLUME] = "volume",
	[SOURCE_NETWORK] = "network",
	[SOURCE_DIR] = "dir",
	[SOURCE_NVME] = "nvme",
	[SOURCE_VHOSTUSER] = "vhostuser",
	[SOURCE_VHOSTVDPA] = "vhostvdpa",
	[SOURCE_OTHER] = "other",
};

const char *domain_xml_device_name(enum disk_device d)
{
	return device_names[d];
}

const char *domain_xml_source_name(enum source_type t)
{
	return source_names[t];
}

/* Copies a text of libxml2, so that callers use free(). */
static int take_text(xmlChar *text, char **out)
{
	*out = NULL;
	if (text == NULL)
		return 0;
	if (*text)
		*out = strdup((const char *)text);
	int err = *text && *out == NULL ? -ENOMEM : 0;
	xmlFree(text);
	return err;
}

/* *OUT is NULL if there is no such attribute or it is empty. */
static int attribute(const xmlNode *n, const char *name, char **out)
{
	*out = NULL;
	if (n == NULL)
		return 0;
	return take_text(xmlGetNoNsProp(n, (const xmlChar *)name), out);
}

static int content(const xmlNode *n, char **out)
{
	*out = NULL;
	return n != NULL ? take_text(xmlNodeGetContent(n), out) : 0;
}

static int number(const xmlNode *n, const char *name, uint64_t *out)
{
	CLEANUP_FREE char *text = NULL;
	char *end;
	int err = attribute(n, name, &text);
	if (err != 0)
		return err;
	if (text == NULL || text[0] < '0' || text[0] > '9')
		return fail(-EBADMSG, "a <slice> without %s", name);
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno || *end)
		return fail(-EBADMSG, "a <slice> with a bad %s", name);
	return 0;
}

static enum source_type source_type(const xmlNode *n)
{
	if (!xmlHasProp(n, (const xmlChar *)"type"))
		return SOURCE_FILE; /* libvirt's default */
	for (int t = 0; t < SOURCE_OTHER; t++)
		if (domain_doc_attribute_is(n, "type", source_names[t]))
			return (enum source_type)t;
	return SOURCE_OTHER;
}

static int read_slice(const xmlNode *source, struct disk_source *s)
{
	const xmlNode *slices = domain_doc_child(source, "slices");
	const xmlNode *n = slices != NULL ? slices->children : NULL;
	int err;
	for (; n != NULL; n = n->next) {
		uint64_t end;
		if (!domain_doc_is(n, "slice")
				|| !domain_doc_attribute_is(n, "type",
						"storage"))
			continue;
		err = number(n, "offset", &s->slice_offset);
		if (err != 0)
			return err;
		err = number(n, "size", &s->slice_size);
		if (err != 0)
			return err;
		if (s->slice_size == 0
				|| __builtin_add_overflow(s->slice_offset,
						s->slice_size, &end)
				|| end > INT64_MAX)
			return fail(-EBADMSG, "a <slice> is out of bounds");
		s->sliced = true;
		return 0;
	}
	return 0;
}

/* "host:port", or the socket. */
static int read_host(const xmlNode *source, char **out)
{
	const xmlNode *host = domain_doc_child(source, "host");
	CLEANUP_FREE char *name = NULL;
	CLEANUP_FREE char *port = NULL;
	int err = attribute(host, "name", &name);
	if (err == 0 && name == NULL)
		return attribute(host, "socket", out);
	if (err == 0)
		err = attribute(host, "port", &port);
	if (err != 0 || port == NULL) {
		*out = take_ptr(name);
		return err;
	}
	return asprintf(out, "%s:%s", name, port) < 0 ? -ENOMEM : 0;
}

static const char *path_attribute(enum source_type type)
{
	switch (type) {
	case SOURCE_FILE:
		return "file";
	case SOURCE_BLOCK:
		return "dev";
	case SOURCE_DIR:
		return "dir";
	case SOURCE_VHOSTUSER:
		return "path";
	default:
		return NULL;
	}
}

/* <dataStore><format/><source/></dataStore>, of a file, a device, …. */
static int read_data_store(const xmlNode *source, struct disk_source *s)
{
	const xmlNode *store = domain_doc_child(source, "dataStore");
	const char *path = store != NULL ? path_attribute(source_type(store))
					 : NULL;
	int err = path != NULL ? attribute(domain_doc_child(store, "source"),
				  path, &s->data_store)
			       : 0;
	if (err == 0 && store != NULL && s->data_store == NULL) {
		s->data_store = strdup("");
		err = s->data_store != NULL ? 0 : -ENOMEM;
	}
	return err;
}

static bool source_says_where(const struct disk_source *source)
{
	switch (source->type) {
	case SOURCE_VOLUME:
		return source->pool != NULL && source->volume != NULL;
	case SOURCE_FILE:
	case SOURCE_BLOCK:
	case SOURCE_DIR:
		return source->path != NULL;
	default:
		return true;
	}
}

static int read_source(const xmlNode *n, struct disk_source *source)
{
	const char *path = path_attribute(source->type);
	int err = 0;
	if (path != NULL)
		err = attribute(n, path, &source->path);
	if (err == 0 && source->type == SOURCE_VOLUME)
		err = attribute(n, "pool", &source->pool);
	if (err == 0 && source->type == SOURCE_VOLUME)
		err = attribute(n, "volume", &source->volume);
	if (err == 0 && source->type == SOURCE_NETWORK)
		err = attribute(n, "protocol", &source->protocol);
	if (err == 0 && source->type == SOURCE_NETWORK)
		err = attribute(n, "name", &source->name);
	if (err == 0 && source->type == SOURCE_NETWORK)
		err = read_host(n, &source->host);
	if (err == 0)
		err = attribute(n, "startupPolicy", &source->startup_policy);
	if (err == 0)
		err = read_slice(n, source);
	if (err == 0)
		err = read_data_store(n, source);
	if (domain_doc_child(n, "encryption") != NULL)
		source->encrypted = true;
	source->present = source_says_where(source);
	return err;
}

/* What <disk> and <backingStore> have in common, but for the format. */
static int read_level(const xmlNode *n, struct disk_source *source, int depth);

static int read_backing(const xmlNode *parent, struct disk_source *source,
		int depth)
{
	const xmlNode *n = domain_doc_child(parent, "backingStore");
	struct disk_source *below;
	int err;
	if (n == NULL)
		return 0;
	if (domain_doc_child(n, "source") == NULL) {
		source->ends = true;
		return 0;
	}
	if (depth >= DEPTH_MAX)
		return fail(-EBADMSG, "a backing chain of more than %d files",
				DEPTH_MAX);
	below = source->backing = calloc(1, sizeof(*below));
	if (below == NULL)
		return -ENOMEM;
	err = attribute(domain_doc_child(n, "format"), "type", &below->format);
	return err != 0 ? err : read_level(n, below, depth + 1);
}

static int read_level(const xmlNode *n, struct disk_source *s, int depth)
{
	const xmlNode *source = domain_doc_child(n, "source");
	int err = 0;
	s->type = source_type(n);
	/* Older libvirt has <encryption> beside the source. */
	s->encrypted = domain_doc_child(n, "encryption") != NULL;
	if (source != NULL)
		err = read_source(source, s);
	return err != 0 ? err : read_backing(n, s, depth);
}

static enum disk_device device_kind(const xmlNode *n)
{
	for (int d = 0; d < DEVICE_OTHER; d++)
		if (domain_doc_attribute_is(n, "device", device_names[d]))
			return (enum disk_device)d;
	return xmlHasNsProp((xmlNode *)n, (const xmlChar *)"device", NULL)
					!= NULL
			? DEVICE_OTHER
			: DEVICE_DISK;
}

static int read_disk(const xmlNode *n, struct domain_disk *disk)
{
	const xmlNode *target = domain_doc_child(n, "target");
	disk->device = device_kind(n);
	disk->readonly = domain_doc_child(n, "readonly") != NULL;
	disk->shareable = domain_doc_child(n, "shareable") != NULL;
	disk->transient = domain_doc_child(n, "transient") != NULL;
	int err = attribute(target, "dev", &disk->target);
	if (err != 0)
		return err;
	if (disk->target == NULL)
		return fail(-EBADMSG, "a disk without a target device");
	err = attribute(target, "bus", &disk->bus);
	if (err != 0)
		return err;
	err = attribute(domain_doc_child(n, "driver"), "type",
			&disk->source.format);
	return err != 0 ? err : read_level(n, &disk->source, 1);
}

static int read_disks(const xmlNode *devices, struct domain_xml *xml)
{
	const xmlNode *n = devices != NULL ? devices->children : NULL;
	unsigned count = 0;
	int err;
	for (const xmlNode *i = n; i != NULL; i = i->next)
		count += domain_doc_is(i, "disk");
	if (count > DOMAIN_XML_DISKS_MAX)
		return fail(-EBADMSG, "%u disks are too many (at most %u)",
				count, DOMAIN_XML_DISKS_MAX);
	xml->disks = calloc(count + 1, sizeof(*xml->disks));
	if (xml->disks == NULL)
		return -ENOMEM;
	for (; n != NULL; n = n->next) {
		if (!domain_doc_is(n, "disk"))
			continue;
		err = read_disk(n, &xml->disks[xml->disk_count++]);
		if (err != 0)
			return err;
	}
	return 0;
}

/* <nvram>/path</nvram>, or <nvram type='file'><source file='/path'/></nvram>. */
static int read_nvram(const xmlNode *os, struct domain_xml *xml)
{
	const xmlNode *nvram = domain_doc_child(os, "nvram");
	const xmlNode *source = domain_doc_child(nvram, "source");
	int err = attribute(nvram, "template", &xml->nvram_template);
	if (err != 0)
		return err;
	if (source == NULL)
		return content(nvram, &xml->nvram);
	err = attribute(source, "file", &xml->nvram);
	if (err != 0)
		return err;
	if (xml->nvram == NULL)
		err = attribute(source, "dev", &xml->nvram);
	return err;
}

static int read_tpm(const xmlNode *devices, struct domain_xml *xml)
{
	const xmlNode *tpm = domain_doc_child(devices, "tpm");
	const xmlNode *backend = domain_doc_child(tpm, "backend");
	xml->tpm_emulated =
			domain_doc_attribute_is(backend, "type", "emulator");
	if (!xml->tpm_emulated)
		return 0;
	return attribute(domain_doc_child(backend, "source"), "path",
			&xml->tpm_path);
}

static int read_firmware(const xmlNode *os, struct domain_xml *xml)
{
	int err = content(domain_doc_child(os, "loader"), &xml->loader);
	if (err != 0)
		return err;
	err = content(domain_doc_child(os, "kernel"), &xml->kernel);
	if (err != 0)
		return err;
	err = content(domain_doc_child(os, "initrd"), &xml->initrd);
	return err != 0 ? err : read_nvram(os, xml);
}

static int read_domain(const xmlNode *root, struct domain_xml *xml)
{
	const xmlNode *devices = domain_doc_child(root, "devices");
	int err = content(domain_doc_child(root, "name"), &xml->name);
	if (err != 0)
		return err;
	if (xml->name == NULL)
		return fail(-EBADMSG, "a domain without a name");
	err = content(domain_doc_child(root, "uuid"), &xml->uuid);
	if (err != 0)
		return err;
	err = read_firmware(domain_doc_child(root, "os"), xml);
	if (err != 0)
		return err;
	err = read_tpm(devices, xml);
	return err != 0 ? err : read_disks(devices, xml);
}

int domain_xml_parse(struct domain_xml **out, const char *xml, size_t len)
{
	struct domain_xml *d = calloc(1, sizeof(*d));
	int err;
	if (d == NULL)
		return -ENOMEM;
	err = domain_doc_parse(&d->doc, xml, len);
	if (err == 0) {
		d->text = strndup(xml, len);
		err = d->text != NULL ? 0 : -ENOMEM;
	}
	if (err == 0)
		err = read_domain(xmlDocGetRootElement(d->doc), d);
	if (err != 0) {
		domain_xml_free(d);
		return err;
	}
	*out = d;
	return 0;
}

static void clear_source(struct disk_source *source)
{
	free(source->path);
	free(source->pool);
	free(source->volume);
	free(source->protocol);
	free(source->name);
	free(source->host);
	free(source->format);
	free(source->startup_policy);
	free(source->data_store);
}

void domain_xml_free(struct domain_xml *xml)
{
	if (xml == NULL)
		return;
	for (unsigned i = 0; i < xml->disk_count; i++) {
		struct domain_disk *disk = &xml->disks[i];
		struct disk_source *below = disk->source.backing;
		free(disk->target);
		free(disk->bus);
		clear_source(&disk->source);
		while (below != NULL) {
			struct disk_source *next = below->backing;
			clear_source(below);
			free(below);
			below = next;
		}
	}
	free(xml->disks);
	xmlFreeDoc(xml->doc);
	free(xml->text);
	free(xml->name);
	free(xml->uuid);
	free(xml->nvram);
	free(xml->nvram_template);
	free(xml->loader);
	free(xml->kernel);
	free(xml->initrd);
	free(xml->tpm_path);
	free(xml);
}
