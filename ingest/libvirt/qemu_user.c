/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt's capabilities name the label that guests get in the security model
 * "dac": "+64055:+109". An unprivileged daemon has no such model.
 */
#include "qemu_user.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libxml/parser.h>
#include <libxml/uri.h>
#include <libxml/xpath.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

static const char label_path[] =
		"string(/capabilities/host/secmodel[model='dac']/baselabel[1])";

/* "+64055". Returns what follows, or NULL. */
static const char *parse_id(const char *text, unsigned *id)
{
	char *end = NULL;
	if (text == NULL || text[0] != '+' || text[1] < '0' || text[1] > '9')
		return NULL;
	errno = 0;
	unsigned long n = strtoul(text + 1, &end, 10);
	*id = (unsigned)n;
	return errno != 0 || n >= UINT_MAX ? NULL : end;
}

/* "+64055:+109". False if TEXT is none. */
static bool parse_label(const char *text, uid_t *uid, gid_t *gid)
{
	unsigned u = 0, g = 0;
	const char *at = parse_id(text, &u);
	if (at == NULL || *at != ':')
		return false;
	at = parse_id(at + 1, &g);
	if (at == NULL || *at != '\0')
		return false;
	*uid = u;
	*gid = g;
	return true;
}

static bool find_label(const char *xml, uid_t *uid, gid_t *gid)
{
	xmlDoc *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
			XML_PARSE_NONET | XML_PARSE_NOERROR
					| XML_PARSE_NOWARNING);
	xmlXPathContext *context = doc != NULL ? xmlXPathNewContext(doc) : NULL;
	xmlXPathObject *found = context != NULL
			? xmlXPathEvalExpression((const xmlChar *)label_path,
					context)
			: NULL;
	bool ok = found != NULL && found->stringval != NULL
			&& parse_label((const char *)found->stringval, uid,
					gid);
	xmlXPathFreeObject(found);
	xmlXPathFreeContext(context);
	xmlFreeDoc(doc);
	return ok;
}

/* The value of "socket" in the URI's query, for xmlFree(); NULL: it has none. */
static char *socket_of(const char *uri)
{
	static const char key[] = "socket=";
	const size_t key_len = sizeof(key) - 1;
	for (const char *p = strchr(uri, '?'); p != NULL; p = strchr(p, '&')) {
		p++;
		size_t len = strcspn(p, "&#");
		if (len > key_len && strncmp(p, key, key_len) == 0)
			return xmlURIUnescapeString(p + key_len,
					(int)(len - key_len), NULL);
	}
	return NULL;
}

void qemu_user_of_session(const char *uri, uid_t *uid, gid_t *gid)
{
	struct stat st;
	char *path = socket_of(uri);
	bool found = path != NULL && stat(path, &st) == 0
			&& S_ISSOCK(st.st_mode);
	*uid = found ? st.st_uid : geteuid();
	*gid = found ? st.st_gid : getegid();
	xmlFree(path);
}

int qemu_user(struct connection *conn, uid_t *uid, gid_t *gid)
{
	if (conn == NULL) {
		*uid = geteuid();
		*gid = getegid();
		return 0;
	}
	char *xml = virConnectGetCapabilities(connection_handle(conn));
	if (xml == NULL)
		return connection_fail(-EIO, "reading libvirt's capabilities");
	bool found = find_label(xml, uid, gid);
	free(xml);
	if (!found)
		qemu_user_of_session(connection_uri(conn), uid, gid);
	return 0;
}

int qemu_user_chown(int fd, const char *path, uid_t uid, gid_t gid)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", path);
	if ((st.st_uid == uid && st.st_gid == gid) || geteuid() != 0)
		return 0;
	if (fchown(fd, uid, gid) < 0)
		return fail_errno(-errno,
				"changing the owner of %s to the user that "
				"qemu runs as (%u)",
				path, (unsigned)uid);
	return 0;
}
