/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "peers.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"
#include "repo/base/cleanup.h"

#define PORT_SSH 22
#define PORT_ISCSI 3260

static bool is_there(const struct doctor *doctor, const char *host,
		unsigned port)
{
	struct peer peer;
	for (size_t i = 0; peers_next(doctor, &i, &peer);)
		if (peer.port == port && strcmp(peer.host, host) == 0)
			return true;
	return false;
}

void peers_add(struct doctor *doctor, const char *host, unsigned port,
		const char *why)
{
	if (*host == '\0' || is_there(doctor, host, port))
		return;
	if (json_array_append_new(doctor->peers,
			    json_pack("{s:o, s:i, s:o}", "host",
					    report_json_text(host), "port",
					    (int)port, "why",
					    report_json_text(why)))
			< 0)
		doctor->no_memory = true;
}

bool peers_next(const struct doctor *doctor, size_t *number, struct peer *out)
{
	const json_t *one = json_array_get(doctor->peers, (*number)++);
	if (one == NULL)
		return false;
	out->host = json_string_value(json_object_get(one, "host"));
	out->why = json_string_value(json_object_get(one, "why"));
	out->port = (unsigned)json_integer_value(json_object_get(one, "port"));
	return true;
}

static unsigned port_of(const char *type)
{
	static const struct {
		const char *type;
		unsigned port;
	} ports[] = {
		{ "nfs", 2049 },
		{ "nfs4", 2049 },
		{ "cifs", 445 },
		{ "smb3", 445 },
		{ "ceph", 6789 },
		{ "fuse.glusterfs", 24007 },
		{ "9p", 564 },
	};
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (strcmp(ports[i].type, type) == 0)
			return ports[i].port;
	return PORT_SSH;
}

void peers_add_path(struct doctor *doctor, const char *path, const char *why)
{
	struct mounted mount;
	char text[1024];
	if (!mounts_find(&mount, path) || mount.server[0] == '\0')
		return;
	snprintf(text, sizeof(text), "%s on %s at %s", why, mount.type,
			mount.point);
	peers_add(doctor, mount.server, port_of(mount.type), text);
}

/* The colon before a port, not one of an IPv6 address; or NULL. */
static const char *port_colon(const char *given)
{
	const char *colon = strrchr(given, ':');
	if (colon == NULL || colon == given)
		return NULL;
	if (*given == '[')
		return colon[-1] == ']' ? colon : NULL;
	return strchr(given, ':') == colon ? colon : NULL;
}

static unsigned parse_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	return *end == '\0' && port <= UINT16_MAX ? (unsigned)port : 0;
}

bool peers_is_valid(const char *given)
{
	const char *colon = port_colon(given);
	return *given != '\0' && (colon == NULL || parse_port(colon + 1) != 0);
}

void peers_add_given(struct doctor *doctor, const char *given, unsigned port,
		const char *why)
{
	char host[256];
	const char *colon = port_colon(given);
	bool bracket = *given == '[';
	size_t len = strlen(given);
	if (colon != NULL) {
		port = parse_port(colon + 1);
		len = (size_t)(colon - given);
	}
	if (bracket && len >= 2)
		len -= 1 + (given[len - 1] == ']');
	snprintf(host, sizeof(host), "%.*s", (int)len, given + bracket);
	peers_add(doctor, host, port, why);
}

static void add_iscsi(struct doctor *doctor)
{
	glob_t found;
	if (glob("/sys/class/iscsi_connection/*/persistent_address", 0, NULL,
			    &found)
			!= 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char host[128] = "";
		FILE *f = fopen(found.gl_pathv[i], "re");
		if (f == NULL)
			continue;
		if (fgets(host, sizeof(host), f) != NULL)
			host[strcspn(host, "\n")] = '\0';
		fclose(f);
		peers_add(doctor, host, PORT_ISCSI, "iSCSI disks");
	}
	globfree(&found);
}

void peers_find(struct doctor *doctor)
{
	const struct doctor_options *options = doctor->options;
	size_t i;
	json_t *image;
	for (int n = 0; n < options->peers.count; n++)
		peers_add_given(doctor, options->peers.items[n], PORT_SSH,
				"--peer");
	if (options->repository_path != NULL) {
		CLEANUP_FREE char *path =
				mounts_absolute(options->repository_path);
		if (path != NULL)
			peers_add_path(doctor, path, "the repository");
	}
	json_array_foreach (doctor->images, i, image)
		peers_add_path(doctor, json_string_value(image),
				"disks of guests");
	add_iscsi(doctor);
}
