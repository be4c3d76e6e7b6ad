/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether libvirt answers; and from the definitions of its domains, without
 * opening any file, what their disks need: images for the repository's checks,
 * other hosts for those of the network.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_libvirt.h"
#include "ingest/libvirt/domain.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/doctor/peers.h"

/* --- no connection --- */

static bool has_unit(const char *name)
{
	static const char *const places[] = { "/etc/systemd/system",
		"/usr/lib/systemd/system", "/lib/systemd/system" };
	char path[128];
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], name);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static void report_none(struct doctor *doctor, int err)
{
	doctor_found(doctor, DOCTOR_FAILURE, "libvirt", "%s", error_text(err));
	doctor_means(doctor,
			"Without it domains can't be backed up or booted; "
			"files, devices and the repository can be used.");
	if (doctor->options->uri != NULL)
		return;
	if (has_unit("virtqemud.socket") && !has_unit("libvirtd.service"))
		doctor_command(doctor,
				"systemctl enable --now "
				"virtqemud.socket virtstoraged.socket "
				"virtsecretd.socket");
	else if (has_unit("libvirtd.service"))
		doctor_command(doctor, "systemctl enable --now libvirtd");
	else
		doctor_command(doctor, "apt-get install libvirt-daemon-system");
}

/* DRIVER+TRANSPORT://[USER@]HOST[:PORT]/… of another host. */
static void report_elsewhere(struct doctor *doctor, int err)
{
	const char *uri = doctor->options->uri;
	if (uri == NULL)
		uri = getenv("LIBVIRT_DEFAULT_URI");
	doctor_found(doctor, DOCTOR_WARNING, "libvirt", "%s", error_text(err));
	doctor_means(doctor, "Run 'amberfs doctor' there as well.");
	const char *host = uri != NULL ? strstr(uri, "://") : NULL;
	if (host == NULL)
		return;
	host += 3;
	size_t len = strcspn(host, "/?#");
	const char *at = memchr(host, '@', len);
	if (at != NULL) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	CLEANUP_FREE char *given = strndup(host, len);
	unsigned port = strstr(uri, "+ssh") != NULL || strstr(uri, "+libssh")
			? 22
			: strstr(uri, "+tcp") != NULL ? 16509
						      : 16514;
	if (given != NULL)
		peers_add_given(doctor, given, port, "libvirt there");
}

/* --- what disks need --- */

static unsigned port_of(const char *protocol)
{
	static const struct {
		const char *protocol;
		unsigned port;
	} ports[] = {
		{ "nbd", 10809 },
		{ "iscsi", 3260 },
		{ "rbd", 6789 },
		{ "gluster", 24007 },
		{ "http", 80 },
		{ "https", 443 },
		{ "ftp", 21 },
		{ "nfs", 2049 },
	};
	for (size_t i = 0; protocol != NULL && i < ARRAY_SIZE(ports); i++)
		if (strcmp(ports[i].protocol, protocol) == 0)
			return ports[i].port;
	return 22;
}

static void note_disk(struct doctor *doctor, struct connection *conn,
		const struct domain_xml *xml, const struct domain_disk *disk)
{
	const struct disk_source *source = &disk->source;
	struct volume_facts volume;
	char why[512];
	if (disk->device != DEVICE_DISK || !source->present)
		return;
	if (source->type == SOURCE_NETWORK && source->host != NULL
			&& source->host[0] != '/') {
		snprintf(why, sizeof(why), "disk %s of %s over %s",
				disk->target, xml->name,
				source->protocol != NULL ? source->protocol
							 : "the network");
		peers_add_given(doctor, source->host, port_of(source->protocol),
				why);
	} else if (source->type == SOURCE_VOLUME && source->pool != NULL
			&& source->volume != NULL) {
		if (connection_volume(conn, source->pool, source->volume,
				    &volume)
				!= 0)
			return; /* check_disks says so */
		if (volume.local)
			doctor_add_image(doctor, volume.path);
		free(volume.path);
	} else if (source->path != NULL
			&& (source->type == SOURCE_FILE
					|| source->type == SOURCE_BLOCK)) {
		doctor_add_image(doctor, source->path);
	}
}

static void note_disks(struct doctor *doctor, struct connection *conn)
{
	struct domain **list;
	unsigned count;
	if (domain_list(conn, &list, &count) != 0)
		return; /* check_disks says so */
	for (unsigned i = 0; i < count; i++) {
		CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
		if (domain_get_xml(list[i], DOMAIN_XML_CURRENT, &xml) != 0)
			continue;
		for (unsigned j = 0; j < xml->disk_count; j++)
			note_disk(doctor, conn, xml, &xml->disks[j]);
	}
	domain_list_free(list, count);
}

void check_connection(struct doctor *doctor)
{
	struct doctor_libvirt *shared = doctor->context;
	int err = connection_open(&shared->conn, doctor->options->uri,
			CONNECTION_SECRETS);
	if (err != 0) {
		shared->conn = NULL;
		if (err == -EREMOTE)
			report_elsewhere(doctor, err);
		else
			report_none(doctor, err);
		return;
	}
	doctor_found(doctor, DOCTOR_OK, connection_uri(shared->conn),
			"libvirt answers");
	note_disks(doctor, shared->conn);
}
