/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections to libvirt: which URI, whether its disks are on this host, and
 * libvirt's errors as ours. Queries about domains are in domain.c.
 */
#include "connection.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

#define BACKUP_LIBVIRT 7006000 /* 7.6: the first to have it on by default */
#define BACKUP_QEMU 6001000    /* 6.1 */
#define DEFAULT_URI "qemu:///system"
#define REMEDY                                                                 \
	"is libvirtd running? Give another with --connect URI or "             \
	"LIBVIRT_DEFAULT_URI"

struct connection {
	virConnectPtr handle;
	char *uri;
	bool writable;
};

static void silent(void *ctx, virErrorPtr error)
{
	(void)ctx;
	(void)error;
}

/* libvirt's last message in this thread, made printable. */
static const char *libvirt_message(char *buf, size_t size)
{
	const char *text = virGetLastErrorMessage();
	const char *prefix = "internal error: ";
	if (text == NULL || !*text)
		text = "libvirt gave no reason";
	if (strncmp(text, prefix, strlen(prefix)) == 0)
		text += strlen(prefix);
	return name_display(buf, size, text);
}

int connection_fail(int err, const char *fmt, ...)
{
	char what[ERROR_TEXT_MAX / 2], why[ERROR_TEXT_MAX / 2];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return fail(err, "%s: %s", what, libvirt_message(why, sizeof(why)));
}

static int not_here(const char *uri, const char *why)
{
	char shown[512];
	name_display(shown, sizeof(shown), uri);
	return fail(-EREMOTE,
			"%s: %s, but amberfs only reads disks on this host; "
			"run it on the host where the disks are",
			shown, why);
}

/*
 * driver[+transport]://[user@][host][:port]/path[?query]. Only the transport
 * "unix", or none, is certain to reach a libvirt on this host: others may be
 * the local end of a tunnel.
 */
int connection_check_uri(const char *uri)
{
	size_t scheme = strcspn(uri, ":/?#");
	const char *plus, *host;
	if (uri[scheme] != ':')
		return 0; /* an alias; its target is checked later */
	plus = memchr(uri, '+', scheme);
	if (plus != NULL) {
		size_t len = scheme - (size_t)(plus + 1 - uri);
		if (len != 4 || memcmp(plus + 1, "unix", 4) != 0)
			return not_here(uri, "this is a remote libvirt");
	}
	if (strncmp(uri + scheme, "://", 3) != 0)
		return 0; /* libvirt will report what is wrong */
	host = uri + scheme + 3;
	if (strcspn(host, "/?#") > 0)
		return not_here(uri, "this is the libvirt of another host");
	return 0;
}

/* True if libvirt allows this user read-only access only. */
static bool refused_writing(void)
{
	switch (virGetLastErrorCode()) {
	case VIR_ERR_AUTH_FAILED:
	case VIR_ERR_AUTH_CANCELLED:
	case VIR_ERR_AUTH_UNAVAILABLE:
	case VIR_ERR_OPERATION_DENIED:
	case VIR_ERR_ACCESS_DENIED:
	case VIR_ERR_SYSTEM_ERROR: /* the socket's permissions */
		return true;
	default:
		return false;
	}
}

static int dial(struct connection *conn, enum connection_access access)
{
	char shown[512];
	if (access == CONNECTION_SECRETS) {
		conn->handle = virConnectOpen(conn->uri);
		conn->writable = conn->handle != NULL;
		if (conn->handle == NULL && !refused_writing())
			goto failed;
	}
	if (conn->handle == NULL)
		conn->handle = virConnectOpenReadOnly(conn->uri);
	if (conn->handle != NULL)
		return 0;
failed:
	name_display(shown, sizeof(shown), conn->uri);
	connection_fail(-ENOTCONN, "cannot connect to libvirt at %s", shown);
	return fail(-ENOTCONN, "%s; " REMEDY, error_text(-ENOTCONN));
}

/* An alias in libvirt.conf may have led to another host. */
static int check_dialled(struct connection *conn)
{
	char *real = virConnectGetURI(conn->handle);
	int err = real != NULL ? connection_check_uri(real) : 0;
	free(real);
	return err;
}

int connection_open(struct connection **out, const char *uri,
		enum connection_access access)
{
	struct connection *conn;
	int err;
	if (uri == NULL || !*uri)
		uri = getenv("LIBVIRT_DEFAULT_URI");
	if (uri == NULL || !*uri)
		uri = DEFAULT_URI;
	err = connection_check_uri(uri);
	if (err != 0)
		return err;
	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
		return -ENOMEM;
	virSetErrorFunc(NULL, silent);
	conn->uri = strdup(uri);
	err = conn->uri != NULL ? virInitialize() : -ENOMEM;
	if (err != 0 && conn->uri != NULL)
		err = connection_fail(-ENOTCONN, "cannot initialise libvirt");
	if (err == 0)
		err = dial(conn, access);
	if (err == 0)
		err = check_dialled(conn);
	if (err != 0) {
		connection_close(conn);
		return err;
	}
	*out = conn;
	return 0;
}

void connection_close(struct connection *conn)
{
	if (conn == NULL)
		return;
	if (conn->handle != NULL)
		virConnectClose(conn->handle);
	free(conn->uri);
	free(conn);
}

const char *connection_uri(const struct connection *conn)
{
	return conn->uri;
}

bool connection_writable(const struct connection *conn)
{
	return conn->writable;
}

struct _virConnect *connection_handle(const struct connection *conn)
{
	return conn->handle;
}

void connection_features(struct connection *conn,
		struct connection_features *out)
{
	memset(out, 0, sizeof(*out));
	if (virConnectGetLibVersion(conn->handle, &out->libvirt) < 0)
		out->libvirt = 0;
	if (virConnectGetVersion(conn->handle, &out->qemu) < 0)
		out->qemu = 0;
	CLEANUP_FREE char *xml = virConnectGetDomainCapabilities(conn->handle,
			NULL, NULL, NULL, NULL, 0);
	/* On a read-only connection it does not say. */
	out->incremental = xml != NULL
			? strstr(xml, "<backup supported='yes'/>") != NULL
			: out->libvirt >= BACKUP_LIBVIRT
					&& out->qemu >= BACKUP_QEMU;
	out->modular = access("/run/libvirt/virtqemud-sock", F_OK) == 0;
}

static int lookup_error(void)
{
	switch (virGetLastErrorCode()) {
	case VIR_ERR_NO_STORAGE_POOL:
	case VIR_ERR_NO_STORAGE_VOL:
		return -ENOENT;
	default:
		return -EIO;
	}
}

static int read_volume(virStorageVolPtr vol, struct volume_facts *out)
{
	virStorageVolInfo info;
	char *path = virStorageVolGetPath(vol);
	if (path == NULL)
		return lookup_error();
	memset(out, 0, sizeof(*out));
	out->path = path;
	if (virStorageVolGetInfo(vol, &info) == 0) {
		out->capacity = info.capacity;
		out->allocation = info.allocation;
		out->local = info.type == VIR_STORAGE_VOL_FILE
				|| info.type == VIR_STORAGE_VOL_BLOCK;
	}
	return 0;
}

int connection_volume(struct connection *conn, const char *pool,
		const char *volume, struct volume_facts *out)
{
	char a[256], b[256];
	virStoragePoolPtr p;
	virStorageVolPtr v = NULL;
	int err = 0;
	name_display(a, sizeof(a), pool);
	name_display(b, sizeof(b), volume);
	p = virStoragePoolLookupByName(conn->handle, pool);
	if (p == NULL)
		return connection_fail(lookup_error(), "storage pool %s", a);
	v = virStorageVolLookupByName(p, volume);
	if (v != NULL)
		err = read_volume(v, out);
	if (v == NULL || err != 0)
		err = connection_fail(v != NULL ? err : lookup_error(),
				"volume %s of the storage pool %s (if the "
				"pool is inactive, start it: virsh pool-start)",
				b, a);
	if (v != NULL)
		virStorageVolFree(v);
	virStoragePoolFree(p);
	return err;
}
