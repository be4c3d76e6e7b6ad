/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checkpoints through libvirt. The caller knows which of them are ours. */
#include "checkpoints.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "domain_doc.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

#define REDEFINE                                                               \
	(VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE                                 \
			| VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE)

static int checkpoint_fail(int err, struct domain *d, const char *name,
		const char *what)
{
	char domain[256], shown[256];
	name_display(domain, sizeof(domain), domain_name(d));
	name_display(shown, sizeof(shown), name);
	return connection_fail(err, "domain %s: checkpoint %s can't be %s",
			domain, shown, what);
}

static bool is_missing(void)
{
	int code = virGetLastErrorCode();
	return code == VIR_ERR_NO_DOMAIN_CHECKPOINT
			|| code == VIR_ERR_NO_SUPPORT;
}

static int take_name(struct checkpoint_names *out, virDomainCheckpointPtr c)
{
	const char *name = virDomainCheckpointGetName(c);
	char *copy = strdup(name != NULL ? name : "");
	if (copy == NULL)
		return fail_no_memory("listing checkpoints");
	out->items[out->count++] = copy;
	return 0;
}

int checkpoints_list(struct domain *domain, struct checkpoint_names *out)
{
	virDomainCheckpointPtr *list = NULL;
	int err = 0;
	*out = (struct checkpoint_names){ .count = 0 };
	int n = virDomainListAllCheckpoints(domain_handle(domain), &list, 0);
	if (n < 0)
		return is_missing()
				? 0
				: checkpoint_fail(-EIO, domain, "list", "read");
	out->items = calloc((size_t)n + 1, sizeof(*out->items));
	if (out->items == NULL)
		err = fail_no_memory("listing checkpoints");
	for (int i = 0; i < n; i++) {
		if (err == 0)
			err = take_name(out, list[i]);
		virDomainCheckpointFree(list[i]);
	}
	free(list);
	if (err < 0)
		checkpoints_clear(out);
	return err;
}

void checkpoints_clear(struct checkpoint_names *names)
{
	for (unsigned i = 0; names->items != NULL && i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct checkpoint_names){ .count = 0 };
}

bool checkpoints_have(const struct checkpoint_names *names, const char *name)
{
	for (unsigned i = 0; i < names->count; i++)
		if (strcmp(names->items[i], name) == 0)
			return true;
	return false;
}

static int look_up(struct domain *domain, const char *name,
		virDomainCheckpointPtr *out)
{
	*out = virDomainCheckpointLookupByName(domain_handle(domain), name, 0);
	if (*out != NULL)
		return 0;
	return is_missing() ? checkpoint_fail(-ENOENT, domain, name, "found")
			    : checkpoint_fail(-EIO, domain, name, "looked up");
}

int checkpoints_xml(struct domain *domain, const char *name, bool secrets,
		char **out)
{
	virDomainCheckpointPtr c;
	int err = look_up(domain, name, &c);
	if (err < 0)
		return err;
	*out = virDomainCheckpointGetXMLDesc(c,
			secrets ? VIR_DOMAIN_CHECKPOINT_XML_SECURE : 0);
	if (*out == NULL)
		err = checkpoint_fail(-EIO, domain, name, "described");
	virDomainCheckpointFree(c);
	return err;
}

static bool is_one_of(xmlNode *disk, const char *const *targets, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (domain_doc_attribute_is(disk, "name", targets[i]))
			return true;
	return false;
}

static void remove_node(xmlNode *n)
{
	if (n == NULL)
		return;
	xmlUnlinkNode(n);
	xmlFreeNode(n);
}

/* Removes the parent, which that backup deleted, and unwanted disks, which may
 * be gone. */
static void remove_gone(xmlDoc *doc, const char *const *targets, unsigned count)
{
	xmlNode *root = xmlDocGetRootElement(doc), *next;
	remove_node(domain_doc_child(root, "parent"));
	xmlNode *n = domain_doc_child(root, "disks");
	for (n = n != NULL ? n->children : NULL; n != NULL; n = next) {
		next = n->next;
		if (domain_doc_is(n, "disk") && !is_one_of(n, targets, count))
			remove_node(n);
	}
}

/* Frees DOC. */
static int create(struct domain *domain, xmlDoc *doc, const char *name,
		unsigned flags, virDomainCheckpointPtr *out)
{
	xmlChar *text = NULL;
	int len = 0;
	xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
	xmlFreeDoc(doc);
	if (text == NULL)
		return fail_no_memory("describing a checkpoint");
	*out = virDomainCheckpointCreateXML(domain_handle(domain),
			(const char *)text, flags);
	xmlFree(text);
	return *out != NULL ? 0
			    : checkpoint_fail(-EIO, domain, name, "redefined");
}

int checkpoints_redefine(struct domain *domain, const char *xml,
		const char *const *targets, unsigned count)
{
	xmlDoc *doc = NULL;
	int err = domain_doc_parse_root(&doc, xml, strlen(xml),
			"domaincheckpoint");
	if (err < 0)
		return err;
	remove_gone(doc, targets, count);
	virDomainCheckpointPtr c;
	err = create(domain, take_ptr(doc), "of the last snapshot", REDEFINE,
			&c);
	if (err < 0)
		return err;
	virDomainCheckpointFree(c);
	return 0;
}

/* With its bitmaps, or if that is not possible without. */
static int delete (struct domain *domain, virDomainCheckpointPtr c,
		const char *name)
{
	return virDomainCheckpointDelete(c, 0) < 0
					&& virDomainCheckpointDelete(c,
							   VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
							< 0
			? checkpoint_fail(-EIO, domain, name, "deleted")
			: 0;
}

int checkpoints_delete(struct domain *domain, const char *name)
{
	virDomainCheckpointPtr c;
	int err = look_up(domain, name, &c);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (virDomainIsActive(domain_handle(domain)) != 1)
		err = fail(-EBUSY,
				"checkpoints can't be deleted while the domain "
				"is shut off");
	else
		err = delete (domain, c, name);
	virDomainCheckpointFree(c);
	return err;
}

int checkpoints_delete_metadata(struct domain *domain, const char *name)
{
	virDomainCheckpointPtr c;
	int err = look_up(domain, name, &c);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	if (virDomainCheckpointDelete(c,
			    VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
			< 0)
		err = checkpoint_fail(-EIO, domain, name, "deleted");
	virDomainCheckpointFree(c);
	return err;
}

/* <domaincheckpoint> of one bitmap, with DEFINITION, which libvirt wants. */
static xmlDoc *describe(const char *name, const char *target,
		const xmlDoc *definition)
{
	xmlDoc *doc = xmlNewDoc(BAD_CAST "1.0");
	xmlNode *root = xmlNewDocNode(doc, NULL, BAD_CAST "domaincheckpoint",
			NULL);
	xmlDocSetRootElement(doc, root);
	xmlNewTextChild(root, NULL, BAD_CAST "name", BAD_CAST name);
	xmlNewTextChild(root, NULL, BAD_CAST "creationTime", BAD_CAST "1");
	xmlNode *disks = xmlNewChild(root, NULL, BAD_CAST "disks", NULL);
	xmlNode *disk = xmlNewChild(disks, NULL, BAD_CAST "disk", NULL);
	xmlNewProp(disk, BAD_CAST "name", BAD_CAST target);
	xmlNewProp(disk, BAD_CAST "checkpoint", BAD_CAST "bitmap");
	xmlNewProp(disk, BAD_CAST "bitmap", BAD_CAST name);
	xmlAddChild(root,
			xmlDocCopyNode(xmlDocGetRootElement(
						       (xmlDoc *)definition),
					doc, 1));
	return doc;
}

int checkpoints_delete_orphan(struct domain *domain, const char *name,
		const char *target)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	virDomainCheckpointPtr c;
	int err = domain_get_xml(domain, DOMAIN_XML_CURRENT, &xml);
	if (err < 0)
		return err;
	/* Not validated: the bitmap may be broken. */
	err = create(domain, describe(name, target, xml->doc), name,
			VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE, &c);
	if (err < 0)
		return err;
	err = delete (domain, c, name);
	virDomainCheckpointFree(c);
	return err;
}
