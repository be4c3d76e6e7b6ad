/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All of a definition except its devices: identity, firmware, use of host
 * resources. Two questions decide: may the original run at the same time, and
 * may it reach anything outside (domain_adapt.h)?
 */
#include "domain_adapt.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "adapt_tree.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"

/* --- identity --- */

/* libvirt requires it to be the UUID, which is new. */
static void drop_smbios_uuid(xmlNode *root)
{
	xmlNode *info = root->children;
	xmlNode *next = NULL;
	for (; info != NULL; info = info->next) {
		xmlNode *system = domain_doc_is(info, "sysinfo")
				? domain_doc_child(info, "system")
				: NULL;
		for (xmlNode *n = system != NULL ? system->children : NULL;
				n != NULL; n = next) {
			next = n->next;
			if (domain_doc_attribute_is(n, "name", "uuid"))
				adapt_tree_remove(n);
		}
	}
}

static void identity(struct adapt *adapt, xmlNode *root)
{
	xmlNode *name = domain_doc_child(root, "name");
	adapt_tree_unset(root, "id");
	if (adapt->o->name != NULL)
		adapt_tree_text(adapt,
				name != NULL ? name
					     : adapt_tree_add(adapt, root,
							     "name"),
				adapt->o->name);
	if (adapt->beside) {
		adapt_tree_drop(root, "uuid");
		drop_smbios_uuid(root);
	}
	/* It tells the guest that its disks are of another time: databases and
	 * directory servers rely on it to change then, with any identity. */
	if (adapt_tree_drop(root, "genid"))
		adapt_tree_add(adapt, root, "genid");
}

/* --- firmware --- */

static bool has_nvram(const xmlNode *os)
{
	const xmlNode *loader = domain_doc_child(os, "loader");
	if (domain_doc_attribute_is(loader, "stateless", "yes"))
		return false;
	return domain_doc_child(os, "nvram") != NULL
			|| domain_doc_attribute_is(os, "firmware", "efi")
			|| domain_doc_attribute_is(loader, "type", "pflash");
}

static void nvram(struct adapt *adapt, xmlNode *os)
{
	xmlNode *n = domain_doc_child(os, "nvram");
	bool said = n != NULL;
	bool network = domain_doc_attribute_is(n, "type", "network");
	if (!has_nvram(os))
		return;
	if (n == NULL)
		n = adapt_tree_add(adapt, os, "nvram");
	if (n == NULL)
		return;
	adapt_tree_unset(n, "type");
	while (n->children != NULL)
		adapt_tree_remove(n->children);
	if (adapt->o->nvram != NULL && adapt->o->nvram_block) {
		adapt_tree_set(adapt, n, "type", "block");
		adapt_tree_set(adapt, adapt_tree_add(adapt, n, "source"), "dev",
				adapt->o->nvram);
		return;
	}
	if (adapt->o->nvram != NULL) {
		adapt_tree_text(adapt, n, adapt->o->nvram);
		if (network)
			adapt_tree_note(adapt,
					"the firmware's settings (NVRAM) were "
					"on the network, and are in a file now");
		return;
	}
	if (said)
		adapt_tree_note(adapt,
				"the firmware's settings (NVRAM) are not in "
				"the snapshot: they are reset to defaults");
	if (n->properties == NULL)
		adapt_tree_remove(n);
}

/* By default a guest may write to its firmware with its settings: the
 * original's file. */
static void loader(struct adapt *adapt, xmlNode *os)
{
	xmlNode *n = domain_doc_child(os, "loader");
	if (!adapt->beside || !domain_doc_attribute_is(n, "type", "pflash")
			|| domain_doc_attribute_is(n, "readonly", "yes"))
		return;
	adapt_tree_set(adapt, n, "readonly", "yes");
	adapt_tree_note(adapt,
			"its firmware is the original's file, which is now "
			"read-only for it");
}

static void firmware(struct adapt *adapt, xmlNode *os)
{
	loader(adapt, os);
	nvram(adapt, os);
	if (adapt->o->kernel != NULL)
		adapt_tree_text(adapt, adapt_tree_child(adapt, os, "kernel"),
				adapt->o->kernel);
	if (adapt->o->initrd != NULL)
		adapt_tree_text(adapt, adapt_tree_child(adapt, os, "initrd"),
				adapt->o->initrd);
}

/* --- claims on the host --- */

static const char *const claims[] = { "memoryBacking", "memtune", "blkiotune",
	"cputune", "numatune", "resource", "on_lockfailure", NULL };

static void set_memory(struct adapt *adapt, xmlNode *root)
{
	xmlNode *n = NULL;
	char kib[32];
	if (!adapt->o->memory)
		return;
	n = adapt_tree_child(adapt, root, "memory");
	/* Cells and slots would add up to the old size. */
	adapt_tree_drop_all(root,
			(const char *const[]){ "maxMemory", "currentMemory",
					"numatune", NULL });
	adapt_tree_drop(domain_doc_child(root, "cpu"), "numa");
	snprintf(kib, sizeof(kib), "%" PRIu64, adapt->o->memory / 1024);
	adapt_tree_set(adapt, n, "unit", "KiB");
	adapt_tree_text(adapt, n, kib);
}

static void end_with(struct adapt *adapt, xmlNode *root, const char *event)
{
	if (domain_doc_child(root, event) != NULL)
		adapt_tree_text(adapt, domain_doc_child(root, event),
				"destroy");
}

static void let_go(struct adapt *adapt, xmlNode *root)
{
	xmlNode *vcpu = domain_doc_child(root, "vcpu");
	if (!adapt->o->isolated)
		return;
	adapt_tree_drop_all(root, claims);
	adapt_tree_unset(vcpu, "cpuset");
	if (domain_doc_attribute_is(vcpu, "placement", "auto"))
		adapt_tree_set(adapt, vcpu, "placement", "static");
	/* Else it could dump its memory, or restart forever. */
	end_with(adapt, root, "on_poweroff");
	end_with(adapt, root, "on_crash");
}

/* Of a running domain: generated at its start, not persistent. */
static bool is_made_at_start(const xmlNode *label)
{
	return domain_doc_attribute_is(label, "type", "dynamic")
			&& domain_doc_child(label, "baselabel") == NULL;
}

static void labels(struct adapt *adapt, xmlNode *root)
{
	xmlNode *next = NULL;
	for (xmlNode *n = root->children; n != NULL; n = next) {
		CLEANUP_XML_TEXT xmlChar *model = NULL;
		next = n->next;
		if (!domain_doc_is(n, "seclabel"))
			continue;
		model = adapt_tree_get(n, "model");
		if (is_made_at_start(n)) {
			adapt_tree_remove(n);
		} else if (adapt->o->isolated
				|| (adapt->beside
						&& !domain_doc_attribute_is(n,
								"type",
								"none"))) {
			adapt_tree_note(adapt,
					"its security label%s%s is left out: "
					"the host's default applies",
					model != NULL ? " " : "",
					model != NULL ? (const char *)model
						      : "");
			adapt_tree_remove(n);
		}
	}
}

/* --- settings that go past libvirt --- */

/* A drive, a log, a socket: whatever it is, the original uses it. */
static bool names_a_file(const xmlNode *n)
{
	for (const xmlNode *i = n->children; i != NULL; i = i->next) {
		CLEANUP_XML_TEXT xmlChar *value = i->type == XML_ELEMENT_NODE
				? adapt_tree_get(i, "value")
				: NULL;
		if (value != NULL && strchr((const char *)value, '/') != NULL)
			return true;
	}
	return false;
}

static void foreign_one(struct adapt *adapt, xmlNode *n)
{
	const char *name = (const char *)n->name;
	if (adapt->o->isolated) {
		adapt_tree_note(adapt,
				"%s left out: it can give the guest access to "
				"anything on the host",
				name);
		adapt_tree_remove(n);
	} else if (adapt->beside && names_a_file(n)) {
		adapt_tree_note(adapt,
				"%s left out: it names host files, which the "
				"original may have open",
				name);
		adapt_tree_remove(n);
	} else if (adapt->beside) {
		adapt_tree_note(adapt,
				"%s is kept as it is: check whether two "
				"domains can use it at once",
				name);
	}
}

static void foreign(struct adapt *adapt, xmlNode *root)
{
	xmlNode *next = NULL;
	for (xmlNode *n = root->children; n != NULL; n = next) {
		next = n->next;
		if (n->type == XML_ELEMENT_NODE && n->ns != NULL)
			foreign_one(adapt, n);
	}
}

static void adapt(struct adapt *a, xmlNode *root)
{
	xmlNode *devices = domain_doc_child(root, "devices");
	if (devices == NULL)
		devices = adapt_tree_add(a, root, "devices");
	identity(a, root);
	firmware(a, domain_doc_child(root, "os"));
	set_memory(a, root);
	let_go(a, root);
	labels(a, root);
	foreign(a, root);
	adapt_disks(a, devices);
	adapt_ports(a, devices);
	adapt_devices(a, devices);
}

/* --- what goes in and out --- */

/* XML allows only UTF-8 without control characters; a path may be anything. */
static int check_text(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char shown[512];
	if (text == NULL)
		return 0;
	for (; *p; p++)
		if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
			break;
	if (!*p && xmlCheckUTF8((const unsigned char *)text))
		return 0;
	return fail(-EINVAL,
			"libvirt does not accept %s: it is not UTF-8, or "
			"contains control characters; choose another name or "
			"directory",
			printable(shown, sizeof(shown), text));
}

static int check_options(const struct adapt_options *options)
{
	const char *const texts[] = { options->name, options->console_file,
		options->nvram, options->kernel, options->initrd };
	int err = 0;
	for (unsigned i = 0; err == 0 && i < ARRAY_SIZE(texts); i++)
		err = check_text(texts[i]);
	for (unsigned i = 0; err == 0 && i < options->disk_count; i++) {
		err = check_text(options->disks[i].path);
		if (err == 0)
			err = check_text(options->disks[i].backing_path);
	}
	return err;
}

/* libvirt would read the devices of all, but write only one. */
static int check_once(const xmlNode *root, const char *name)
{
	unsigned count = 0;
	for (const xmlNode *n = root->children; n != NULL; n = n->next)
		count += domain_doc_is(n, name);
	return count < 2 ? 0
			 : fail(-EBADMSG, "a domain with %u <%s> elements",
					 count, name);
}

static int write_out(xmlDoc *doc, char **out)
{
	xmlChar *text = NULL;
	int len = 0;
	xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
	*out = text != NULL ? strndup((const char *)text, (size_t)len) : NULL;
	xmlFree(text);
	return *out != NULL ? 0 : -ENOMEM;
}

static int rewrite(struct adapt *a, xmlDoc *doc, char **out, char **notes)
{
	xmlNode *root = xmlDocGetRootElement(doc);
	size_t len = 0;
	int err = check_once(root, "devices");
	if (err != 0)
		return err;
	err = check_once(root, "os");
	if (err != 0)
		return err;
	a->notes = open_memstream(notes, &len);
	if (a->notes == NULL)
		return -ENOMEM;
	adapt(a, root);
	if (fclose(a->notes) != 0 && !a->err)
		a->err = -ENOMEM;
	return a->err ? a->err : write_out(doc, out);
}

int domain_adapt(const xmlDoc *doc, const struct adapt_options *options,
		char **out, char **notes)
{
	struct adapt a = { .o = options,
		.beside = !options->same_identity || options->isolated };
	CLEANUP_FREE char *text = NULL;
	xmlDoc *copy;
	int err = check_options(options);
	if (err != 0)
		return err;
	copy = domain_doc_copy(doc);
	if (copy == NULL)
		return -ENOMEM;
	*out = NULL;
	err = rewrite(&a, copy, out, &text);
	xmlFreeDoc(copy);
	if (err == 0)
		*notes = take_ptr(text);
	return err;
}
