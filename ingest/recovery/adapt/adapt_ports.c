/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside domain_adapt: serial and parallel ports, consoles and channels. The
 * guest keeps all of them; only their host end changes, which two domains can't
 * share.
 */
#include "adapt_tree.h"

/* Host ends that libvirt makes for each domain, or that belong to the
 * graphics. */
static const char *const own_ends[] = { "pty", "null", "vc", "spicevmc",
	"spiceport", "qemu-vdagent", NULL };
static const char *const ends[] = { "source", "protocol", "log", "alias",
	NULL };

static void set_end(struct adapt *adapt, xmlNode *port, const char *type)
{
	adapt_tree_drop_all(port, ends);
	adapt_tree_set(adapt, port, "type", type);
	/* Set for a live pty. */
	adapt_tree_unset(port, "tty");
}

static bool is_port(const xmlNode *n)
{
	return domain_doc_is(n, "serial") || domain_doc_is(n, "console")
			|| domain_doc_is(n, "parallel");
}

/* The first serial port appears a second time as a console; libvirt adds that
 * by itself. */
static bool is_double(const xmlNode *n)
{
	const xmlNode *target = domain_doc_child(n, "target");
	if (!domain_doc_is(n, "console"))
		return false;
	return target == NULL
			|| xmlHasProp((xmlNode *)target,
					   (const xmlChar *)"type")
			== NULL
			|| domain_doc_attribute_is(target, "type", "serial");
}

static void drop_doubles(xmlNode *devices)
{
	xmlNode *next = NULL;
	for (xmlNode *n = devices->children; n != NULL; n = next) {
		next = n->next;
		if (is_double(n))
			adapt_tree_remove(n);
	}
}

/* --- one file --- */

static void to_file(struct adapt *adapt, xmlNode *devices)
{
	xmlNode *chosen = domain_doc_child(devices, "serial");
	xmlNode *source = NULL;
	bool had_double = false;
	for (xmlNode *n = devices->children; n != NULL; n = n->next)
		had_double |= is_double(n);
	drop_doubles(devices);
	/* A console without a serial port is the old name of one. */
	if (chosen == NULL && !had_double)
		chosen = domain_doc_child(devices, "console");
	if (chosen == NULL)
		chosen = adapt_tree_add(adapt, devices, "serial");
	for (xmlNode *n = devices->children; n != NULL; n = n->next)
		if (is_port(n))
			set_end(adapt, n, n == chosen ? "file" : "null");
	source = adapt_tree_add(adapt, chosen, "source");
	adapt_tree_set(adapt, source, "path", adapt->o->console_file);
	adapt_tree_set(adapt, source, "append", "on");
}

/* --- ptys --- */

static void to_pty(struct adapt *adapt, xmlNode *port)
{
	CLEANUP_XML_TEXT xmlChar *type = adapt_tree_get(port, "type");
	const char *kind = (const char *)port->name;
	/* A copy of all traffic, in a host file. */
	if (adapt_tree_drop(port, "log"))
		adapt_tree_note(adapt, "the %s port no longer has a log file",
				kind);
	if (type != NULL && domain_doc_attribute_is(port, "type", "pty"))
		set_end(adapt, port, "pty"); /* a live one has a name */
	if (type != NULL && adapt_tree_one_of(port, "type", own_ends))
		return;
	adapt_tree_note(adapt,
			"the %s port, which was a %s on the host, is now a pty",
			kind, type != NULL ? (const char *)type : "thing");
	set_end(adapt, port, "pty");
}

static void to_ptys(struct adapt *adapt, xmlNode *devices)
{
	if (domain_doc_child(devices, "serial") != NULL)
		drop_doubles(devices);
	for (xmlNode *n = devices->children; n != NULL; n = n->next)
		if (is_port(n))
			to_pty(adapt, n);
}

/* --- channels --- */

static void channel(struct adapt *adapt, xmlNode *n)
{
	const xmlNode *target = domain_doc_child(n, "target");
	bool agent = domain_doc_attribute_is(target, "name",
			"org.qemu.guest_agent.0");
	CLEANUP_XML_TEXT xmlChar *name = adapt_tree_get(target, "name");
	const char *shown =
			name != NULL ? (const char *)name : "without a name";
	if (adapt->beside)
		adapt_tree_drop(n, "log");
	/* The agent's socket belongs to libvirt, which makes one for each
	 * domain. */
	if ((!adapt->beside && !agent)
			|| adapt_tree_one_of(n, "type", own_ends))
		return;
	if (!domain_doc_attribute_is(target, "type", "virtio")) {
		adapt_tree_note(adapt,
				"the channel %s leads to the host: left out",
				shown);
		adapt_tree_remove(n);
		return;
	}
	if (!agent)
		adapt_tree_note(adapt,
				"the channel %s has a new socket, made by "
				"libvirt",
				shown);
	set_end(adapt, n, "unix");
	adapt_tree_set(adapt, adapt_tree_add(adapt, n, "source"), "mode",
			"bind");
}

void adapt_ports(struct adapt *adapt, xmlNode *devices)
{
	xmlNode *next = NULL;
	if (devices == NULL)
		return;
	for (xmlNode *n = devices->children; n != NULL; n = next) {
		next = n->next;
		if (domain_doc_is(n, "channel"))
			channel(adapt, n);
	}
	if (adapt->o->console_file != NULL)
		to_file(adapt, devices);
	else if (adapt->beside)
		to_ptys(adapt, devices);
}
