/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: every form of a disk in a domain's XML is understood as
 * libvirt means it, and hostile XML is refused. */
#include "ingest/backup/disk_plan.h"
#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/domain_xml.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "<domain type='kvm'><name>a &amp; b</name><uuid>u-1</uuid>"

static struct domain_xml *parse(const char *xml)
{
	struct domain_xml *d = NULL;
	int err = domain_xml_parse(&d, xml, strlen(xml));
	if (err != 0)
		fail_msg("%s", error_text(err));
	return d;
}

/* One disk's XML in a domain. */
static struct domain_xml *parse_disk(const char *disk)
{
	struct domain_xml *d;
	char *xml;
	assert_true(asprintf(&xml, HEAD "<devices>%s</devices></domain>", disk)
			> 0);
	d = parse(xml);
	free(xml);
	assert_int_equal(d->disk_count, 1);
	return d;
}

static void refused(const char *xml)
{
	struct domain_xml *d = NULL;
	assert_int_equal(domain_xml_parse(&d, xml, strlen(xml)), -EBADMSG);
	assert_null(d);
}

static void test_file_with_chain(void **state)
{
	struct domain_xml *xml = parse_disk(
			"<disk type='file' device='disk'>"
			"<driver name='qemu' type='qcow2' cache='none'/>"
			"<source file='/a b/&quot;x&apos; &#xFC;&#10;.qcow2' "
			"index='2'/>"
			"<backingStore type='file' index='3'><format "
			"type='qcow2'/>"
			"<source file='/base1'/>"
			"<backingStore type='block'><format type='raw'/>"
			"<source "
			"dev='/dev/vg/base0'/><backingStore/></backingStore>"
			"</backingStore>"
			"<mirror type='file' file='/copy'><source "
			"file='/copy'/>"
			"<backingStore/></mirror>"
			"<target dev='vda' bus='virtio'/></disk>");
	const struct domain_disk *disk = &xml->disks[0];
	const struct disk_source *source;
	(void)state;
	assert_string_equal(xml->name, "a & b");
	assert_string_equal(xml->uuid, "u-1");
	assert_string_equal(disk->target, "vda");
	assert_string_equal(disk->bus, "virtio");
	assert_int_equal(disk->device, DEVICE_DISK);
	assert_false(disk->readonly || disk->shareable || disk->transient);
	assert_int_equal(disk->source.type, SOURCE_FILE);
	assert_string_equal(disk->source.path, "/a b/\"x' \xc3\xbc\n.qcow2");
	assert_string_equal(disk->source.format, "qcow2");
	assert_false(disk->source.ends);
	source = disk->source.backing;
	assert_string_equal(source->path, "/base1");
	assert_string_equal(source->format, "qcow2");
	source = source->backing;
	assert_int_equal(source->type, SOURCE_BLOCK);
	assert_string_equal(source->path, "/dev/vg/base0");
	assert_string_equal(source->format, "raw");
	assert_true(source->ends);
	assert_null(source->backing);
	domain_xml_free(xml);
}

/* The mirror's <source> stands where a search would find it first. */
static void test_mirror_is_ignored(void **state)
{
	struct domain_xml *xml = parse_disk(
			"<disk type='file'><mirror type='file'>"
			"<source file='/copy'/><backingStore/></mirror>"
			"<source file='/real'/><target dev='sda'/></disk>");
	(void)state;
	assert_string_equal(xml->disks[0].source.path, "/real");
	assert_false(xml->disks[0].source.ends);
	assert_int_equal(xml->disks[0].device, DEVICE_DISK);
	assert_null(xml->disks[0].bus);
	assert_null(xml->disks[0].source.format);
	domain_xml_free(xml);
}

static void test_block_lun(void **state)
{
	struct domain_xml *xml = parse_disk(
			"<disk type='block' device='lun' rawio='yes'>"
			"<driver name='qemu' type='raw'/><source "
			"dev='/dev/sda'/>"
			"<target dev='sdc' bus='scsi'/><shareable/></disk>");
	(void)state;
	assert_int_equal(xml->disks[0].device, DEVICE_LUN);
	assert_int_equal(xml->disks[0].source.type, SOURCE_BLOCK);
	assert_string_equal(xml->disks[0].source.path, "/dev/sda");
	assert_true(xml->disks[0].shareable);
	domain_xml_free(xml);
}

static void test_volume(void **state)
{
	struct domain_xml *xml =
			parse_disk("<disk type='volume'><driver type='qcow2'/>"
				   "<source pool='p' volume='v 1'/><target "
				   "dev='vdb'/></disk>");
	(void)state;
	assert_int_equal(xml->disks[0].source.type, SOURCE_VOLUME);
	assert_true(xml->disks[0].source.present);
	assert_string_equal(xml->disks[0].source.pool, "p");
	assert_string_equal(xml->disks[0].source.volume, "v 1");
	domain_xml_free(xml);
}

static void test_network(void **state)
{
	struct domain_xml *xml = parse_disk(
			"<disk type='network'><source protocol='rbd' "
			"name='p/i'>"
			"<host name='m1' port='6789'/><host name='m2'/>"
			"</source><target dev='vda'/></disk>");
	(void)state;
	assert_int_equal(xml->disks[0].source.type, SOURCE_NETWORK);
	assert_string_equal(xml->disks[0].source.protocol, "rbd");
	assert_string_equal(xml->disks[0].source.name, "p/i");
	assert_string_equal(xml->disks[0].source.host, "m1:6789");
	domain_xml_free(xml);
	xml = parse_disk("<disk type='network'><source protocol='nbd'>"
			 "<host transport='unix' socket='/s'/></source>"
			 "<target dev='vda'/></disk>");
	assert_string_equal(xml->disks[0].source.host, "/s");
	domain_xml_free(xml);
}

static void test_dir_nvme_vhostuser(void **state)
{
	struct domain_xml *xml = parse(HEAD
			"<devices>"
			"<disk type='dir'><source dir='/d'/><target dev='a'/>"
			"<readonly/></disk>"
			"<disk type='nvme'><source type='pci' namespace='1'>"
			"<address domain='0' bus='1' slot='0' "
			"function='0'/></source>"
			"<target dev='b'/></disk>"
			"<disk type='vhostuser'><source type='unix' path='/s'/>"
			"<target dev='c'/></disk>"
			"<disk type='later'><source x='y'/><target "
			"dev='d'/></disk>"
			"</devices></domain>");
	(void)state;
	assert_int_equal(xml->disk_count, 4);
	assert_int_equal(xml->disks[0].source.type, SOURCE_DIR);
	assert_true(xml->disks[0].readonly);
	assert_int_equal(xml->disks[1].source.type, SOURCE_NVME);
	assert_true(xml->disks[1].source.present);
	assert_int_equal(xml->disks[2].source.type, SOURCE_VHOSTUSER);
	assert_string_equal(xml->disks[2].source.path, "/s");
	assert_int_equal(xml->disks[3].source.type, SOURCE_OTHER);
	domain_xml_free(xml);
}

static void check_refused(const struct domain_disk *disk, const char *words)
{
	struct disk_plan plan;
	assert_int_equal(disk_plan_make(&plan, disk, NULL, 0), 0);
	assert_non_null(plan.why_not);
	assert_non_null(strstr(plan.why_not, words));
	assert_non_null(strstr(plan.why_not, "qemu-img convert"));
	assert_string_equal(plan.why_not_exact, plan.why_not);
	assert_true(plan.unsupported);
	disk_plan_clear(&plan);
}

/* An image whose data is elsewhere, itself or below. */
static void test_data_store(void **state)
{
	struct domain_xml *x = parse(HEAD
			"<devices>"
			"<disk type='file'><source file='/a.qcow2'>"
			"<dataStore type='file'><format type='raw'/>"
			"<source file='/a.data'/></dataStore></source>"
			"<target dev='vda'/></disk>"
			"<disk type='file'><source file='/b.qcow2'/>"
			"<backingStore type='file'><format type='qcow2'/>"
			"<source file='/c'><dataStore type='block'>"
			"<source dev='/dev/c'/></dataStore></source>"
			"</backingStore><target dev='vdb'/></disk>"
			"<disk type='file'><source file='/d.qcow2'>"
			"<dataStore type='network'><source protocol='nbd'/>"
			"</dataStore></source><target dev='vdc'/></disk>"
			"</devices></domain>");
	(void)state;
	assert_string_equal(x->disks[0].source.path, "/a.qcow2");
	assert_string_equal(x->disks[0].source.data_store, "/a.data");
	assert_null(x->disks[1].source.data_store);
	assert_string_equal(x->disks[1].source.backing->data_store, "/dev/c");
	assert_string_equal(x->disks[2].source.data_store, "");
	check_refused(&x->disks[0], "(the <dataStore> /a.data)");
	check_refused(&x->disks[1], "(the <dataStore> /dev/c)");
	check_refused(&x->disks[2], "(the <dataStore>)");
	domain_xml_free(x);
}

static void test_drives(void **state)
{
	struct domain_xml *xml = parse(
			HEAD "<devices>"
			     "<disk type='file' device='cdrom'><target "
			     "dev='sda'/></disk>"
			     "<disk type='file' device='cdrom'>"
			     "<source file='/x.iso' startupPolicy='optional'/>"
			     "<target dev='sdb'/><readonly/></disk>"
			     "<disk type='block' device='floppy'><source/>"
			     "<target dev='fda'/></disk></devices></domain>");
	(void)state;
	assert_int_equal(xml->disks[0].device, DEVICE_CDROM);
	assert_false(xml->disks[0].source.present);
	assert_true(xml->disks[1].source.present);
	assert_string_equal(xml->disks[1].source.startup_policy, "optional");
	assert_int_equal(xml->disks[2].device, DEVICE_FLOPPY);
	assert_false(xml->disks[2].source.present);
	domain_xml_free(xml);
}

static void test_slice_transient_encrypted(void **state)
{
	struct domain_xml *xml = parse(HEAD
			"<devices>"
			"<disk type='file'><source file='/s'><slices>"
			"<slice type='storage' offset='1048576' "
			"size='8388608'/>"
			"</slices></source><target dev='a'/><transient/></disk>"
			"<disk type='file'><source file='/e'>"
			"<encryption format='luks'/></source><target "
			"dev='b'/></disk>"
			"<disk type='file'><source file='/e'/>"
			"<encryption format='luks'/><target dev='c'/></disk>"
			"</devices></domain>");
	(void)state;
	assert_true(xml->disks[0].transient);
	assert_true(xml->disks[0].source.sliced);
	assert_true(xml->disks[0].source.slice_offset == 1048576);
	assert_true(xml->disks[0].source.slice_size == 8388608);
	assert_false(xml->disks[0].source.encrypted);
	assert_true(xml->disks[1].source.encrypted);
	assert_true(xml->disks[2].source.encrypted);
	domain_xml_free(xml);
}

static void test_firmware(void **state)
{
	struct domain_xml *xml = parse(HEAD
			"<os><type>hvm</type>"
			"<loader readonly='yes'>/OVMF_CODE.fd</loader>"
			"<nvram template='/OVMF_VARS.fd'>/n v.fd</nvram>"
			"<kernel>/k</kernel><initrd>/i</initrd></os></domain>");
	(void)state;
	assert_string_equal(xml->loader, "/OVMF_CODE.fd");
	assert_string_equal(xml->nvram, "/n v.fd");
	assert_string_equal(xml->nvram_template, "/OVMF_VARS.fd");
	assert_string_equal(xml->kernel, "/k");
	assert_string_equal(xml->initrd, "/i");
	assert_int_equal(xml->disk_count, 0);
	domain_xml_free(xml);
	xml = parse(HEAD "<os><nvram type='file'><source file='/m.fd'/></nvram>"
			 "</os></domain>");
	assert_string_equal(xml->nvram, "/m.fd");
	assert_false(xml->tpm_emulated);
	domain_xml_free(xml);
}

static void test_tpm(void **state)
{
	struct domain_xml *xml = parse(HEAD "<devices><tpm model='tpm-tis'>"
					    "<backend type='emulator' "
					    "version='2.0'/></tpm></devices>"
					    "</domain>");
	(void)state;
	assert_true(xml->tpm_emulated);
	assert_null(xml->tpm_path);
	domain_xml_free(xml);
	xml = parse(HEAD "<devices><tpm><backend type='emulator'>"
			 "<source type='dir' path='/t "
			 "p'/></backend></tpm></devices>"
			 "</domain>");
	assert_true(xml->tpm_emulated);
	assert_string_equal(xml->tpm_path, "/t p");
	domain_xml_free(xml);
	xml = parse(HEAD "<devices><tpm><backend type='passthrough'>"
			 "<device path='/dev/tpm0'/></backend></tpm></devices>"
			 "</domain>");
	assert_false(xml->tpm_emulated);
	assert_null(xml->tpm_path);
	domain_xml_free(xml);
}

static void test_refusals(void **state)
{
	(void)state;
	refused("");
	refused("<domain>");
	refused("<pool><name>x</name></pool>");
	refused("<domain type='kvm'/>");
	refused("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>" HEAD
		"<os><kernel>&e;</kernel></os></domain>");
	refused("<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>"
		"<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>" HEAD "</domain>");
	refused(HEAD "<devices><disk type='file'><source file='/x'/></disk>"
		     "</devices></domain>"); /* without a target */
	refused(HEAD "<devices><disk type='file'><source file='/x'><slices>"
		     "<slice type='storage' offset='-1' size='5'/></slices>"
		     "</source><target dev='a'/></disk></devices></domain>");
	refused(HEAD "<devices><disk type='file'><source file='/x'><slices>"
		     "<slice type='storage' offset='9223372036854775807' "
		     "size='9'/>"
		     "</slices></source><target dev='a'/></disk></devices>"
		     "</domain>");
}

static void test_deep_chain(void **state)
{
	char *xml = NULL;
	size_t len;
	FILE *f = open_memstream(&xml, &len);
	struct domain_xml *d = NULL;
	(void)state;
	fputs(HEAD "<devices><disk type='file'><target dev='a'/>", f);
	fputs("<source file='/x'/>", f);
	for (int i = 0; i < 100000; i++)
		fputs("<backingStore type='file'><source file='/x'/>", f);
	for (int i = 0; i < 100000; i++)
		fputs("</backingStore>", f);
	fputs("</disk></devices></domain>", f);
	fclose(f);
	assert_int_equal(domain_xml_parse(&d, xml, len), -EBADMSG);
	free(xml);
}

static void test_too_large(void **state)
{
	char *xml = calloc(1, DOMAIN_DOC_MAX + 2);
	struct domain_xml *d = NULL;
	(void)state;
	assert_non_null(xml);
	memset(xml, ' ', DOMAIN_DOC_MAX + 1);
	assert_int_equal(domain_xml_parse(&d, xml, DOMAIN_DOC_MAX + 1),
			-EBADMSG);
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_with_chain),
		cmocka_unit_test(test_mirror_is_ignored),
		cmocka_unit_test(test_block_lun),
		cmocka_unit_test(test_volume),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_dir_nvme_vhostuser),
		cmocka_unit_test(test_data_store),
		cmocka_unit_test(test_drives),
		cmocka_unit_test(test_slice_transient_encrypted),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_tpm),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_deep_chain),
		cmocka_unit_test(test_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
