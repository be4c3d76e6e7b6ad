/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One function for each kind; names of elements are libvirt's. */
#include "domain_unstored.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain_doc.h"
#include "network_nvram.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define TEXT_SIZE 512

static int add(struct domain_unstored_list *list, const char *what,
		const char *why)
{
	if (list->count == DOMAIN_UNSTORED_MAX)
		return 0;
	void *more = reallocarray(list->items, list->count + 1,
			sizeof(*list->items));
	if (more == NULL)
		return fail_no_memory("reading a domain's definition");
	list->items = more;
	struct domain_unstored *one = &list->items[list->count++];
	*one = (struct domain_unstored){ strdup(what), strdup(why) };
	return one->what != NULL && one->why != NULL
			? 0
			: fail_no_memory("reading a domain's definition");
}

/* Appends, as far as it fits, with a space before it. */
static void append(char text[TEXT_SIZE], const xmlChar *more)
{
	size_t n = strlen(text);
	if (more != NULL)
		snprintf(text + n, TEXT_SIZE - n, " %s", (const char *)more);
}

static void append_attribute(char text[TEXT_SIZE], const xmlNode *n,
		const char *name)
{
	xmlChar *value = n != NULL ? xmlGetNoNsProp(n, (const xmlChar *)name)
				   : NULL;
	append(text, value);
	xmlFree(value);
}

static void append_content(char text[TEXT_SIZE], const xmlNode *n)
{
	xmlChar *value = n != NULL ? xmlNodeGetContent(n) : NULL;
	append(text, value);
	xmlFree(value);
}

/* All attributes of N and of the elements in it: an address, in any form. */
static void append_all(char text[TEXT_SIZE], const xmlNode *n)
{
	for (const xmlAttr *a = n->properties; a != NULL; a = a->next)
		append_attribute(text, n, (const char *)a->name);
	for (const xmlNode *c = n->children; c != NULL; c = c->next) {
		if (c->type == XML_ELEMENT_NODE)
			append_all(text, c);
		else if (c->type == XML_TEXT_NODE && !xmlIsBlankNode(c))
			append(text, c->content);
	}
}

/* --- devices --- */

static int add_filesystem(struct domain_unstored_list *list, const xmlNode *n)
{
	char what[TEXT_SIZE] = "filesystem";
	const xmlNode *source = domain_doc_child(n, "source");
	if (domain_doc_attribute_is(n, "type", "ram") || source == NULL)
		return 0;
	append_all(what, source);
	return add(list, what,
			"it is shared with the host; back up the directory as "
			"files");
}

static int add_hostdev(struct domain_unstored_list *list, const xmlNode *n)
{
	char what[TEXT_SIZE] = "hostdev";
	const xmlNode *source = domain_doc_child(n, "source");
	append_attribute(what, n, "type");
	if (source != NULL)
		append_all(what, source);
	return add(list, what, "it is a device of the host, passed through");
}

/* Of NVDIMM and virtio-pmem; other models have no file. */
static int add_memory(struct domain_unstored_list *list, const xmlNode *n)
{
	char what[TEXT_SIZE] = "memory";
	const xmlNode *source = domain_doc_child(n, "source");
	const xmlNode *path = domain_doc_child(source, "path");
	if (path == NULL)
		return 0;
	append_attribute(what, n, "model");
	append_content(what, path);
	return add(list, what, "it is persistent memory in a file of the host");
}

static int add_pstore(struct domain_unstored_list *list, const xmlNode *n)
{
	char what[TEXT_SIZE] = "pstore";
	append_content(what, domain_doc_child(n, "path"));
	return add(list, what, "it is the guest's crash log in a file");
}

static int add_tpm(struct domain_unstored_list *list, const xmlNode *n)
{
	const xmlNode *backend = domain_doc_child(n, "backend");
	if (domain_doc_attribute_is(backend, "type", "passthrough"))
		return add(list, "TPM", "it is the host's own");
	if (domain_doc_attribute_is(backend, "type", "external"))
		return add(list, "TPM",
				"its state is kept by another program than "
				"libvirt's");
	return 0;
}

static int each_device(struct domain_unstored_list *list,
		const xmlNode *devices)
{
	static const struct {
		const char *name;
		int (*add)(struct domain_unstored_list *, const xmlNode *);
	} kinds[] = {
		{ "filesystem", add_filesystem },
		{ "hostdev", add_hostdev },
		{ "memory", add_memory },
		{ "pstore", add_pstore },
		{ "tpm", add_tpm },
	};
	const xmlNode *n = devices != NULL ? devices->children : NULL;
	int err = 0;
	for (; err == 0 && n != NULL; n = n->next)
		for (size_t i = 0; err == 0 && i < ARRAY_SIZE(kinds); i++)
			if (domain_doc_is(n, kinds[i].name))
				err = kinds[i].add(list, n);
	return err;
}

/* --- firmware --- */

static int add_path(struct domain_unstored_list *list, const char *what,
		const xmlNode *n)
{
	char text[TEXT_SIZE];
	snprintf(text, sizeof(text), "%s", what);
	append_content(text, n);
	return add(list, text, "it is a file of the host");
}

static int each_of_firmware(struct domain_unstored_list *list,
		const struct domain_xml *xml, const xmlNode *os)
{
	const xmlNode *acpi = domain_doc_child(os, "acpi");
	const xmlNode *source = domain_doc_child(domain_doc_child(os, "nvram"),
			"source");
	struct network_nvram nvram;
	int err = network_nvram_find(xml, &nvram);
	if (err == 0 && source != NULL && xml->nvram == NULL)
		err = add(list, "NVRAM",
				"it is neither a file nor a block device on "
				"this host, nor on an NBD server without TLS");
	network_nvram_clear(&nvram);
	err = err < 0 ? err : 0;
	if (err == 0 && domain_doc_child(os, "dtb") != NULL)
		err = add_path(list, "device tree",
				domain_doc_child(os, "dtb"));
	for (const xmlNode *n = acpi != NULL ? acpi->children : NULL;
			err == 0 && n != NULL; n = n->next)
		if (domain_doc_is(n, "table"))
			err = add_path(list, "ACPI table", n);
	return err;
}

/* <entry name='opt/…' file='…'/> */
static int each_of_sysinfo(struct domain_unstored_list *list,
		const xmlNode *root)
{
	int err = 0;
	for (const xmlNode *s = root->children; s != NULL; s = s->next) {
		if (!domain_doc_is(s, "sysinfo"))
			continue;
		for (const xmlNode *n = s->children; err == 0 && n != NULL;
				n = n->next) {
			char what[TEXT_SIZE] = "fw_cfg";
			if (!domain_doc_is(n, "entry")
					|| !xmlHasProp(n,
							(const xmlChar *)"file"))
				continue;
			append_attribute(what, n, "name");
			append_attribute(what, n, "file");
			err = add(list, what, "it is a file of the host");
		}
	}
	return err;
}

/* --- qemu's own command line --- */

/* Options whose argument may name a file of the guest. */
static bool names_file(const char *option)
{
	static const char *const options[] = { "drive", "blockdev", "hda",
		"hdb", "hdc", "hdd", "cdrom", "fda", "fdb", "pflash",
		"mtdblock", "sd", "virtfs", "fsdev", "kernel", "initrd", "dtb",
		"fw_cfg", "acpitable", "smbios" };
	if (*option != '-')
		return false;
	option += option[1] == '-' ? 2 : 1;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strcmp(option, options[i]) == 0)
			return true;
	return false;
}

static bool is_of_qemu(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE && n->ns != NULL
			&& strcmp((const char *)n->ns->href, QEMU_NAMESPACE)
			== 0
			&& strcmp((const char *)n->name, name) == 0;
}

static int each_argument(struct domain_unstored_list *list,
		const xmlNode *commandline)
{
	char what[TEXT_SIZE] = "";
	int err = 0;
	for (const xmlNode *n = commandline->children; err == 0 && n != NULL;
			n = n->next) {
		if (!is_of_qemu(n, "arg"))
			continue;
		if (what[0] != '\0') {
			append_attribute(what, n, "value");
			err = add(list, what,
					"it is passed to qemu by the "
					"definition's qemu:commandline, which "
					"libvirt does not look into");
			what[0] = '\0';
			continue;
		}
		append_attribute(what, n, "value");
		memmove(what, what + 1, strlen(what)); /* the space */
		if (!names_file(what))
			what[0] = '\0';
	}
	return err;
}

static int each_of_qemu(struct domain_unstored_list *list, const xmlNode *root)
{
	int err = 0;
	for (const xmlNode *n = root->children; err == 0 && n != NULL;
			n = n->next)
		if (is_of_qemu(n, "commandline"))
			err = each_argument(list, n);
	return err;
}

/* --- all --- */

int domain_unstored_find(struct domain_unstored_list *out,
		const struct domain_xml *xml)
{
	const xmlNode *root = xmlDocGetRootElement(xml->doc);
	*out = (struct domain_unstored_list){ .count = 0 };
	int err = each_of_firmware(out, xml, domain_doc_child(root, "os"));
	if (err == 0)
		err = each_of_sysinfo(out, root);
	if (err == 0)
		err = each_device(out, domain_doc_child(root, "devices"));
	return err < 0 ? err : each_of_qemu(out, root);
}

void domain_unstored_clear(struct domain_unstored_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		free(list->items[i].what);
		free(list->items[i].why);
	}
	free(list->items);
	*list = (struct domain_unstored_list){ .count = 0 };
}
