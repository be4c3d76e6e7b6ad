/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside domain_adapt: devices other than disks and ports. Next to the
 * original, what both would write to is removed, what is merely in use is
 * noted, and fixed numbers become automatic ones. An isolated domain keeps only
 * what is known to reach nothing outside: the list is of what stays, not of
 * what goes.
 */
#include <string.h>

#include "adapt_tree.h"
#include "repo/base/bytes.h"

typedef void handler(struct adapt *a, xmlNode *n);

/* Removes it, with a note that says what it was. */
static void leave_out(struct adapt *adapt, xmlNode *n, const char *why)
{
	CLEANUP_XML_TEXT xmlChar *type = adapt_tree_get(n, "type");
	adapt_tree_note(adapt, "%s%s%s left out: %s", (const char *)n->name,
			type != NULL ? " " : "",
			type != NULL ? (const char *)type : "", why);
	adapt_tree_remove(n);
}

/* --- network --- */

/* Sources that only one domain can use. */
static const char *const exclusive_nets[] = { "vhostuser", "vdpa", "hostdev",
	"server", "client", "udp", NULL };

static void new_port(xmlNode *n)
{
	xmlNode *source = domain_doc_child(n, "source");
	xmlNode *port = domain_doc_child(n, "virtualport");
	adapt_tree_drop(n, "mac");
	adapt_tree_drop(n, "portForward");
	adapt_tree_drop(n, "target"); /* the name of its device on the host */
	if (!domain_doc_attribute_is(n, "type", "vds")) /* a switch's number */
		adapt_tree_unset(source, "portid");
	/* midonet's is one that its operator made: there is no port without. */
	if (!domain_doc_attribute_is(port, "type", "midonet"))
		adapt_tree_unset(domain_doc_child(port, "parameters"),
				"interfaceid");
	adapt_tree_unset(domain_doc_child(port, "parameters"), "instanceid");
}

static void interface(struct adapt *adapt, xmlNode *n)
{
	CLEANUP_XML_TEXT xmlChar *type = adapt_tree_get(n, "type");
	if (adapt->o->isolated) {
		leave_out(adapt, n, "no network");
		return;
	}
	if (!adapt->beside)
		return;
	new_port(n);
	if (adapt_tree_one_of(n, "type", exclusive_nets)
			|| domain_doc_attribute_is(
					domain_doc_child(n, "virtualport"),
					"type", "midonet"))
		adapt_tree_note(adapt,
				"interface %s: only one domain at a time can "
				"use it",
				type != NULL ? (const char *)type : "");
}

/* --- graphics and sound --- */

static const char *const screens[] = { "vnc", "spice", NULL };
static const char *const with_port[] = { "vnc", "spice", "rdp", NULL };
static const char *const no_port[] = { "socket", "none", NULL };

/* A socket whose path libvirt chooses, or nothing. */
static bool without_port(struct adapt *adapt, xmlNode *graphics)
{
	bool found = false;
	if (xmlHasProp(graphics, (const xmlChar *)"socket") != NULL
			&& domain_doc_child(graphics, "listen") == NULL)
		adapt_tree_set(adapt, adapt_tree_add(adapt, graphics, "listen"),
				"type", "socket");
	adapt_tree_unset(graphics, "socket");
	for (xmlNode *n = graphics->children; n != NULL; n = n->next) {
		if (!domain_doc_is(n, "listen"))
			continue;
		adapt_tree_unset(n, "socket");
		found |= adapt_tree_one_of(n, "type", no_port);
	}
	return found;
}

static void listen_locally(struct adapt *adapt, xmlNode *graphics)
{
	xmlNode *n = NULL;
	adapt_tree_unset(graphics, "listen");
	adapt_tree_drop(graphics, "listen");
	n = adapt_tree_add(adapt, graphics, "listen");
	adapt_tree_set(adapt, n, "type", "address");
	adapt_tree_set(adapt, n, "address", "127.0.0.1");
}

static void graphics(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated && !adapt_tree_one_of(n, "type", screens)) {
		leave_out(adapt, n, "it belongs to the host's desktop");
		return;
	}
	if (!adapt->beside || !adapt_tree_one_of(n, "type", with_port))
		return;
	adapt_tree_unset(n, "port");
	adapt_tree_unset(n, "tlsPort");
	adapt_tree_unset(n, "websocket");
	adapt_tree_unset(n, "autoport");
	if (adapt->o->isolated)
		adapt_tree_drop(n, "gl");
	if (without_port(adapt, n))
		return;
	adapt_tree_set(adapt, n, "port", "-1");
	adapt_tree_set(adapt, n, "autoport", "yes");
	if (adapt->o->isolated)
		listen_locally(adapt, n);
}

static void video(struct adapt *adapt, xmlNode *n)
{
	if (!adapt->o->isolated)
		return;
	adapt_tree_drop(domain_doc_child(n, "model"), "acceleration");
	adapt_tree_drop(n, "driver"); /* a separate process, by vhost-user */
}

/* The sound may go into a file. */
static void audio(struct adapt *adapt, xmlNode *n)
{
	bool file = adapt->beside && domain_doc_attribute_is(n, "type", "file");
	if (!adapt->o->isolated && !file)
		return;
	while (n->children != NULL)
		adapt_tree_remove(n->children);
	adapt_tree_set(adapt, n, "type", "none");
	for (const char *const *p = (const char *const[]){ "serverName",
			     "runtimeDir", "device", "dev", "driver", "path",
			     NULL };
			*p != NULL; p++)
		adapt_tree_unset(n, *p);
}

/* --- the rest --- */

static void hostdev(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated)
		leave_out(adapt, n, "it is a host device");
	else if (adapt->beside)
		adapt_tree_note(adapt,
				"%s: only one domain at a time can use it",
				(const char *)n->name);
}

/* Belongs to whoever views the guest, or to the host. */
static void redirected(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated
			|| !domain_doc_attribute_is(n, "type", "spicevmc"))
		hostdev(adapt, n);
}

static void filter(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated)
		adapt_tree_remove(n); /* goes with the devices it is for */
}

static void shared(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated)
		leave_out(adapt, n, "it is shared with the host");
	else if (adapt->beside)
		adapt_tree_note(adapt,
				"%s: shared with the original, so its contents "
				"are not those of the snapshot",
				(const char *)n->name);
}

static void lease(struct adapt *adapt, xmlNode *n)
{
	if (adapt->beside)
		leave_out(adapt, n, "the original holds it");
}

static void vsock(struct adapt *adapt, xmlNode *n)
{
	xmlNode *cid = domain_doc_child(n, "cid");
	if (adapt->o->isolated) {
		leave_out(adapt, n, "no host sockets");
	} else if (adapt->beside && cid != NULL) {
		adapt_tree_unset(cid, "address");
		adapt_tree_set(adapt, cid, "auto", "yes");
		adapt_tree_note(adapt, "vsock: libvirt chooses a new address");
	}
}

/* DIMMs are memory; NVDIMMs and the like are host files. */
static void memory(struct adapt *adapt, xmlNode *n)
{
	xmlNode *source = domain_doc_child(n, "source");
	if (adapt->o->memory)
		leave_out(adapt, n, "the memory size is given");
	else if (adapt->beside && domain_doc_child(source, "path") != NULL)
		leave_out(adapt, n,
				"its file belongs to the original and is not "
				"in the snapshot");
}

/* libvirt keeps the state of an emulated TPM under the domain's UUID. */
static void tpm(struct adapt *adapt, xmlNode *n)
{
	xmlNode *backend = domain_doc_child(n, "backend");
	bool emulated = domain_doc_attribute_is(backend, "type", "emulator");
	if (!adapt->beside)
		return;
	if (!emulated) {
		hostdev(adapt, n);
		return;
	}
	adapt_tree_drop(backend, "source");
	if (adapt->o->throw_away)
		adapt_tree_unset(backend, "persistent_state");
	if (adapt->o->tpm_placed)
		return;
	if (adapt->o->isolated)
		adapt_tree_drop(backend, "encryption");
	adapt_tree_note(adapt,
			"the TPM is new and empty: what the guest sealed in "
			"the original one (such as disk keys) must be unlocked "
			"in another way");
}

static void rng(struct adapt *adapt, xmlNode *n)
{
	xmlNode *backend = domain_doc_child(n, "backend");
	if (!adapt->o->isolated
			|| !domain_doc_attribute_is(backend, "model", "egd"))
		return;
	adapt_tree_remove(backend);
	backend = adapt_tree_add(adapt, n, "backend");
	adapt_tree_set(adapt, backend, "model", "random");
	adapt_tree_text(adapt, backend, "/dev/urandom");
}

static const char *const virtual_inputs[] = { "mouse", "tablet", "keyboard",
	NULL };

static void input(struct adapt *adapt, xmlNode *n)
{
	if (!adapt_tree_one_of(n, "type", virtual_inputs))
		hostdev(adapt, n);
}

static void watchdog(struct adapt *adapt, xmlNode *n)
{
	/* Would dump the memory into a host file. */
	if (adapt->o->isolated && domain_doc_attribute_is(n, "action", "dump"))
		adapt_tree_set(adapt, n, "action", "reset");
}

static void pstore(struct adapt *adapt, xmlNode *n)
{
	if (adapt->beside)
		adapt_tree_drop(n, "path");
}

/* Distributions install the programs in different places: libvirt knows this
 * host's. */
static const char *const usual_emulators[] = { "/usr/bin/qemu-system-",
	"/usr/bin/kvm", "/usr/bin/qemu-kvm", "/usr/libexec/qemu-kvm", NULL };

static void emulator(struct adapt *adapt, xmlNode *n)
{
	CLEANUP_XML_TEXT xmlChar *path = xmlNodeGetContent(n);
	(void)adapt;
	for (const char *const *p = usual_emulators; path != NULL && *p != NULL;
			p++)
		if (strncmp((const char *)path, *p, strlen(*p)) == 0) {
			adapt_tree_remove(n);
			return;
		}
}

static void keep(struct adapt *adapt, xmlNode *n)
{
	(void)adapt;
	(void)n;
}

static const struct {
	const char *name;
	handler *handle;
} handlers[] = {
	{ "audio", audio },
	{ "channel", keep }, /* adapt_ports */
	{ "console", keep },
	{ "controller", keep },
	{ "crypto", keep },
	{ "disk", keep }, /* adapt_disks */
	{ "emulator", emulator },
	{ "filesystem", shared },
	{ "graphics", graphics },
	{ "hostdev", hostdev },
	{ "hub", keep },
	{ "input", input },
	{ "interface", interface },
	{ "iommu", keep },
	{ "lease", lease },
	{ "memballoon", keep },
	{ "memory", memory },
	{ "nvram", keep }, /* of POWER machines */
	{ "panic", keep },
	{ "parallel", keep },
	{ "pstore", pstore },
	{ "redirdev", redirected },
	{ "redirfilter", filter },
	{ "rng", rng },
	{ "serial", keep },
	{ "shmem", shared },
	{ "smartcard", redirected },
	{ "sound", keep },
	{ "tpm", tpm },
	{ "video", video },
	{ "vsock", vsock },
	{ "watchdog", watchdog },
};

static void unknown(struct adapt *adapt, xmlNode *n)
{
	if (adapt->o->isolated)
		leave_out(adapt, n, "it is not known to be isolated");
}

static handler *find(const xmlNode *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (domain_doc_is(n, handlers[i].name))
			return handlers[i].handle;
	return unknown;
}

static void drop_alias(xmlNode *n)
{
	xmlNode *alias = domain_doc_child(n, "alias");
	CLEANUP_XML_TEXT xmlChar *name = adapt_tree_get(alias, "name");
	/* User aliases ("ua-…") may be referred to elsewhere. */
	if (name != NULL && strncmp((const char *)name, "ua-", 3) != 0)
		adapt_tree_remove(alias);
}

void adapt_devices(struct adapt *adapt, xmlNode *devices)
{
	bool had_network = domain_doc_child(devices, "interface") != NULL;
	xmlNode *next = NULL;
	for (xmlNode *n = devices != NULL ? devices->children : NULL; n != NULL;
			n = next) {
		next = n->next;
		if (n->type != XML_ELEMENT_NODE)
			continue;
		drop_alias(n);
		find(n)(adapt, n);
	}
	if (had_network && adapt->beside && !adapt->o->isolated)
		adapt_tree_note(adapt,
				"it is on the original's networks: an address "
				"configured inside the guest would be in use "
				"twice");
}
