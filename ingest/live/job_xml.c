/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "job_xml.h"

#include <errno.h>
#include <grp.h>
#include <libxml/tree.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/libvirt/domain_doc.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define AGENT_NAME "org.qemu.guest_agent.0"

/* ="TEXT" */
static void put_value(FILE *f, const char *text)
{
	xmlChar *safe = xmlEncodeSpecialChars(NULL, (const xmlChar *)text);
	fprintf(f, "=\"%s\"", safe != NULL ? (const char *)safe : "");
	xmlFree(safe);
}

static void put_disk(FILE *f, const struct live_disk *disk, const char *scratch)
{
	fputs("<disk backup=\"yes\" type=\"file\" name", f);
	put_value(f, disk->target);
	fputs(" exportname", f);
	put_value(f, disk->target);
	if (disk->since != NULL) {
		fputs(" backupmode=\"incremental\" incremental", f);
		put_value(f, disk->since);
	} else {
		fputs(" backupmode=\"full\"", f);
	}
	fputs("><driver type=\"qcow2\"/><scratch file", f);
	put_value(f, scratch);
	fputs("/></disk>", f);
}

/* The text written to F; NULL without memory. */
static char *finish(FILE *f, char **text)
{
	bool broken = ferror(f) != 0;
	if (fclose(f) == 0 && !broken)
		return *text;
	free(*text);
	return NULL;
}

/* Disks that are not listed take no part in the job, nor in the checkpoint
 * (libvirt's rule once any is listed). */
char *job_xml_backup(const char *socket, const struct live_disk *disks,
		char *const *scratch, unsigned count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (f == NULL)
		return NULL;
	fputs("<domainbackup mode=\"pull\"><server transport=\"unix\" socket",
			f);
	put_value(f, socket);
	fputs("/><disks>", f);
	for (unsigned i = 0; i < count; i++)
		put_disk(f, &disks[i], scratch[i]);
	fputs("</disks></domainbackup>", f);
	return finish(f, &text);
}

char *job_xml_checkpoint(const char *name, const struct live_disk *disks,
		unsigned count)
{
	xmlChar *safe = xmlEncodeSpecialChars(NULL, (const xmlChar *)name);
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	if (f == NULL) {
		xmlFree(safe);
		return NULL;
	}
	fprintf(f, "<domaincheckpoint><name>%s</name><disks>",
			safe != NULL ? (const char *)safe : "");
	xmlFree(safe);
	for (unsigned i = 0; i < count; i++) {
		fprintf(f, "<disk checkpoint=\"%s\" name",
				disks[i].track ? "bitmap" : "no");
		put_value(f, disks[i].target);
		fputs("/>", f);
	}
	fputs("</disks></domaincheckpoint>", f);
	return finish(f, &text);
}

static char *attribute(const xmlNode *n, const char *name)
{
	xmlChar *text = n != NULL ? xmlGetNoNsProp(n, (const xmlChar *)name)
				  : NULL;
	char *copy = text != NULL ? strdup((const char *)text) : NULL;
	xmlFree(text);
	return copy;
}

int job_xml_scratch(char **file, const char *xml)
{
	xmlDoc *doc;
	int err = domain_doc_parse_root(&doc, xml, strlen(xml), "domainbackup");
	*file = NULL;
	if (err != 0)
		return err;
	const xmlNode *disk = domain_doc_child(
			domain_doc_child(xmlDocGetRootElement(doc), "disks"),
			"disk");
	for (; disk != NULL && *file == NULL; disk = disk->next)
		if (domain_doc_is(disk, "disk"))
			*file = attribute(domain_doc_child(disk, "scratch"),
					"file");
	xmlFreeDoc(doc);
	return 0;
}

/* "+64055" or "64055" or "libvirt-qemu", LEN bytes. */
static bool read_user(uid_t *out, const char *text, size_t len)
{
	CLEANUP_FREE char *copy = strndup(text, len);
	struct passwd entry, *found = NULL;
	char room[4096], *end;
	unsigned long n;
	if (copy == NULL || !*copy)
		return false;
	if (*copy != '+'
			&& getpwnam_r(copy, &entry, room, sizeof(room), &found)
					== 0
			&& found != NULL) {
		*out = found->pw_uid;
		return true;
	}
	errno = 0;
	n = strtoul(copy + (*copy == '+'), &end, 10);
	*out = (uid_t)n;
	return errno == 0 && *end == '\0' && n < (uid_t)-1;
}

static bool read_group(gid_t *out, const char *text)
{
	struct group entry, *found = NULL;
	char room[4096], *end;
	unsigned long n;
	if (*text != '+'
			&& getgrnam_r(text, &entry, room, sizeof(room), &found)
					== 0
			&& found != NULL) {
		*out = found->gr_gid;
		return true;
	}
	errno = 0;
	n = strtoul(text + (*text == '+'), &end, 10);
	*out = (gid_t)n;
	return errno == 0 && *text && *end == '\0' && n < (gid_t)-1;
}

/* <seclabel model='dac'><label>+64055:+64055</label></seclabel> */
static void read_seclabel(struct guest_facts *out, const xmlNode *n)
{
	const xmlNode *label = domain_doc_child(n, "label");
	xmlChar *text = label != NULL ? xmlNodeGetContent(label) : NULL;
	const char *colon =
			text != NULL ? strchr((const char *)text, ':') : NULL;
	if (domain_doc_attribute_is(n, "model", "apparmor"))
		out->apparmor = true;
	if (domain_doc_attribute_is(n, "model", "dac") && colon != NULL)
		out->has_owner =
				read_user(&out->owner, (const char *)text,
						(size_t)(colon - (const char *)text))
				&& read_group(&out->group, colon + 1);
	xmlFree(text);
}

static void read_channel(struct guest_facts *out, const xmlNode *channel)
{
	const xmlNode *target = domain_doc_child(channel, "target");
	if (!domain_doc_attribute_is(target, "name", AGENT_NAME))
		return;
	/* If its state is not given, it may be connected: worth a try. */
	out->agent = domain_doc_attribute_is(target, "state", "disconnected")
			? AGENT_AWAY
			: AGENT_CONNECTED;
}

void job_xml_guest(struct guest_facts *out, const struct domain_xml *xml)
{
	const xmlNode *root = xmlDocGetRootElement(xml->doc);
	memset(out, 0, sizeof(*out));
	for (const xmlNode *n = root->children; n != NULL; n = n->next)
		if (domain_doc_is(n, "seclabel"))
			read_seclabel(out, n);
	root = domain_doc_child(root, "devices");
	for (const xmlNode *n = root != NULL ? root->children : NULL; n != NULL;
			n = n->next)
		if (domain_doc_is(n, "channel"))
			read_channel(out, n);
}
