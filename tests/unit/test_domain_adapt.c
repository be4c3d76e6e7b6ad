/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: a definition is rewritten so that its disks are the given
 * ones and nothing of the original's is touched; hostile XML is refused or
 * rewritten into XML that says the same. (tests/scenarios/domain-adapt.sh asks
 * libvirt's own schema.) */
#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/domain_xml.h"
#include "ingest/recovery/adapt/domain_adapt.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "<domain type='kvm' id='3'><name>old</name><uuid>u-1</uuid>"

static char *out, *notes;

static int adapt(const char *xml, const struct adapt_options *options)
{
	free(out);
	free(notes);
	out = notes = NULL;
	xmlDoc *doc = NULL;
	int err = domain_doc_parse(&doc, xml, strlen(xml));
	if (err == 0)
		err = domain_adapt(doc, options, &out, &notes);
	xmlFreeDoc(doc);
	return err;
}

/* DEVICES in a domain. */
static void adapt_devices(const char *devices,
		const struct adapt_options *options)
{
	char *xml = NULL;
	int err = 0;
	assert_true(asprintf(&xml, HEAD "<devices>%s</devices></domain>",
				    devices)
			> 0);
	err = adapt(xml, options);
	free(xml);
	if (err != 0)
		fail_msg("%s", error_text(err));
}

static void has(const char *text)
{
	if (strstr(out, text) == NULL)
		fail_msg("no %s in:\n%s", text, out);
}

static void hasnt(const char *text)
{
	if (strstr(out, text) != NULL)
		fail_msg("%s is left in:\n%s", text, out);
}

static void noted(const char *text)
{
	if (strstr(notes, text) == NULL)
		fail_msg("nothing is said of %s:\n%s", text, notes);
}

static const struct adapt_disk overlay = { .target = "vda",
	.path = "/o/a&b'<.qcow2",
	.format = "qcow2",
	.backing_path = "/mnt/web/latest/vda.raw",
	.backing_format = "raw" };

static void test_disk_gets_the_whole_chain(void **state)
{
	struct adapt_options o = { .disks = &overlay, .disk_count = 1 };
	struct domain_xml *xml = NULL;
	(void)state;
	adapt_devices("<disk type='network' device='lun' sgio='unfiltered'>"
		      "<mirror type='file'><source file='/mirror'/></mirror>"
		      "<auth username='u'><secret uuid='s'/></auth>"
		      "<source protocol='rbd' name='p/i'><host name='h'/>"
		      "<slices><slice type='storage' offset='1' size='2'/>"
		      "</slices><encryption format='luks'/></source>"
		      "<backingStore type='file'><format type='raw'/>"
		      "<source file='/old-base'/></backingStore>"
		      "<encryption format='luks'/><transient/><shareable/>"
		      "<driver name='qemu' type='raw' cache='none' "
		      "io='native'/>"
		      "<target dev='vda' bus='virtio'/><serial>S</serial>"
		      "<alias name='virtio-disk0'/>"
		      "<address type='pci' slot='0x07'/></disk>",
			&o);
	assert_int_equal(domain_xml_parse(&xml, out, strlen(out)), 0);
	assert_int_equal(xml->disk_count, 1);
	assert_int_equal(xml->disks[0].device, DEVICE_DISK);
	assert_int_equal(xml->disks[0].source.type, SOURCE_FILE);
	assert_string_equal(xml->disks[0].source.path, "/o/a&b'<.qcow2");
	assert_string_equal(xml->disks[0].source.format, "qcow2");
	assert_false(xml->disks[0].source.encrypted
			|| xml->disks[0].source.sliced);
	assert_false(xml->disks[0].transient || xml->disks[0].shareable);
	assert_string_equal(xml->disks[0].source.backing->path,
			"/mnt/web/latest/vda.raw");
	assert_string_equal(xml->disks[0].source.backing->format, "raw");
	assert_true(xml->disks[0].source.backing->ends);
	domain_xml_free(xml);
	hasnt("mirror");
	hasnt("secret");
	hasnt("old-base");
	hasnt("alias");
	hasnt("sgio");
	has("<serial>S</serial>");
	has("slot=\"0x07\"");
	has("cache=\"none\"");
	noted("vda was transient");
}

/* Nothing below: said, so that nobody looks into the image. */
static void test_restored_disk_ends(void **state)
{
	struct adapt_disk d = { .target = "vda",
		.path = "/dev/vg/web",
		.block_device = true,
		.format = "raw" };
	struct adapt_options o = { .same_identity = true,
		.disks = &d,
		.disk_count = 1 };
	(void)state;
	adapt_devices("<disk type='file'><source file='/x'/>"
		      "<target dev='vda'/><shareable/><transient/></disk>",
			&o);
	has("type=\"block\"");
	has("<source dev=\"/dev/vg/web\"/>");
	has("<backingStore/>");
	has("<driver name=\"qemu\" type=\"raw\"/>");
	has("<shareable/>");
	/* libvirt has that for files only. */
	hasnt("<transient/>");
	noted("vda was transient");
	has("<uuid>u-1</uuid>");
	d.block_device = false;
	d.path = "/images/web.img";
	adapt_devices("<disk type='block'><source dev='/x'/>"
		      "<target dev='vda'/><transient/></disk>",
			&o);
	has("<source file=\"/images/web.img\"/>");
	has("<transient/>");
	assert_string_equal(notes, "");
}

/* What belongs to a device or a format goes with it, or there is a note. */
static void test_what_a_disk_had(void **state)
{
	static const char lun[] =
			"<disk type='block' device='lun' rawio='yes'>"
			"<driver name='qemu' type='raw'/>"
			"<source dev='/x'><reservations managed='yes'/>"
			"<seclabel model='dac' relabel='no'/></source>"
			"<target dev='vda'/></disk>";
	struct adapt_disk d = { .target = "vda",
		.path = "/dev/vg/web",
		.block_device = true,
		.format = "raw" };
	struct adapt_options o = { .same_identity = true,
		.disks = &d,
		.disk_count = 1 };
	(void)state;
	adapt_devices(lun, &o);
	has("device=\"lun\" rawio=\"yes\"");
	has("<source dev=\"/dev/vg/web\"><reservations managed=\"yes\"/>"
	    "<seclabel model=\"dac\" relabel=\"no\"/></source>");
	assert_string_equal(notes, "");
	o.same_identity = false;
	adapt_devices(lun, &o);
	has("device=\"disk\">");
	has("<source dev=\"/dev/vg/web\"/>");
	noted("vda was a lun");
	noted("vda: the security label");
	d.block_device = false;
	o.same_identity = true;
	adapt_devices(lun, &o);
	has("device=\"disk\"");
	hasnt("reservations");
	has("<seclabel");
	noted("vda was a lun");
	adapt_devices("<disk type='file'><driver type='qcow2'><metadata_cache/>"
		      "</driver><source file='/x'/><target dev='vda'/></disk>",
			&o);
	hasnt("metadata_cache");
	d.format = "qcow2";
	adapt_devices("<disk type='file'><driver type='qcow2'><metadata_cache/>"
		      "</driver><source file='/x'/><target dev='vda'/></disk>",
			&o);
	has("metadata_cache");
}

static void test_ports_of_graphics(void **state)
{
	struct adapt_options o = { .disk_count = 0 };
	(void)state;
	adapt_devices("<graphics type='egl-headless'/><graphics type='sdl'/>"
		      "<graphics type='dbus' p2p='yes'/>",
			&o);
	hasnt("port");
	adapt_devices("<graphics type='vnc' port='5901'/>", &o);
	has("port=\"-1\" autoport=\"yes\"");
	adapt_devices("<interface type='bridge'><virtualport type='midonet'>"
		      "<parameters interfaceid='x'/></virtualport></interface>",
			&o);
	has("interfaceid=\"x\"");
	noted("only one domain at a time");
	o = (struct adapt_options){ .same_identity = true,
		.nvram = "/dev/vg/vars",
		.nvram_block = true };
	assert_int_equal(adapt(HEAD "<os><loader type='pflash'/>"
				    "<nvram>/x</nvram></os></domain>",
					 &o),
			0);
	has("<nvram type=\"block\"><source dev=\"/dev/vg/vars\"/></nvram>");
}

static void test_other_disks(void **state)
{
	struct adapt_options o = { .disks = &overlay, .disk_count = 1 };
	(void)state;
	adapt_devices("<disk type='file' device='cdrom'><source file='/iso'/>"
		      "<target dev='sda' bus='sata'/><readonly/></disk>"
		      "<disk type='block' device='disk'><source dev='/dev/x'/>"
		      "<target dev='vdb'/></disk>"
		      "<disk type='dir'/>",
			&o);
	hasnt("/iso");
	hasnt("/dev/x");
	has("device=\"cdrom\"");
	noted("sda: its medium");
	noted("vdb is not in the snapshot");
	noted("vda is in the snapshot but not in the definition");
}

static void test_identity(void **state)
{
	const char *xml = HEAD "<genid>g-1</genid><title>t</title>"
			       "<sysinfo type='smbios'><system>"
			       "<entry name='uuid'>u-1</entry>"
			       "<entry name='sku'>k</entry></system></sysinfo>"
			       "<devices><interface type='network'>"
			       "<mac address='52:54:00:00:00:01'/>"
			       "<source network='n' portid='p'/>"
			       "<target "
			       "dev='tap-web'/></interface></devices></domain>";
	struct adapt_options o = { .name = "new & <b>" };
	(void)state;
	assert_int_equal(adapt(xml, &o), 0);
	has("<name>new &amp; &lt;b&gt;</name>");
	hasnt("u-1");
	hasnt("g-1");
	hasnt("52:54");
	hasnt("portid");
	hasnt("tap-web");
	hasnt("id=\"3\"");
	has("<title>t</title>");
	has("<entry name=\"sku\">k</entry>");
	noted("original's networks");
	o = (struct adapt_options){ .same_identity = true };
	assert_int_equal(adapt(xml, &o), 0);
	has("<name>old</name>");
	has("<uuid>u-1</uuid>");
	has("52:54:00:00:00:01");
	/* Guests learn by it that their disks went back in time. */
	hasnt("g-1");
	has("<genid/>");
}

static void test_isolated_keeps_only_what_is_known(void **state)
{
	struct adapt_options o = { .same_identity = true, .isolated = true };
	(void)state;
	adapt_devices("<interface type='user'/><hostdev mode='subsystem'/>"
		      "<filesystem type='mount'/><shmem name='s'/>"
		      "<vsock/><redirdev type='tcp'/><smartcard mode='host'/>"
		      "<invented path='/etc/passwd'/><controller type='usb'/>"
		      "<memory model='nvdimm'><source><path>/p</path></source>"
		      "</memory><serial type='unix'><source "
		      "path='/s'/></serial>"
		      "<graphics type='vnc' port='5900' listen='0.0.0.0'/>"
		      "<graphics type='sdl'/>",
			&o);
	hasnt("interface");
	hasnt("hostdev");
	hasnt("filesystem");
	hasnt("shmem");
	hasnt("vsock");
	hasnt("redirdev");
	hasnt("smartcard");
	hasnt("invented");
	hasnt("nvdimm");
	hasnt("sdl");
	hasnt("0.0.0.0");
	hasnt("u-1");
	has("<controller type=\"usb\"/>");
	has("<serial type=\"pty\"");
	has("127.0.0.1");
	noted("invented");
}

static void test_isolated_lets_the_host_go(void **state)
{
	struct adapt_options o = { .isolated = true, .memory = 64 << 20 };
	(void)state;
	assert_int_equal(adapt("<domain xmlns:qemu='q'><name>n</name>"
			       "<memory unit='GiB'>8</memory>"
			       "<memoryBacking><locked/></memoryBacking>"
			       "<vcpu placement='auto' cpuset='1'>2</vcpu>"
			       "<cputune/><numatune/><resource/>"
			       "<on_crash>coredump-restart</on_crash>"
			       "<seclabel type='static' model='dac'/>"
			       "<qemu:commandline><qemu:arg value='-x'/>"
			       "</qemu:commandline></domain>",
					 &o),
			0);
	has("<memory unit=\"KiB\">65536</memory>");
	hasnt("memoryBacking");
	hasnt("cpuset");
	hasnt("tune");
	hasnt("resource");
	hasnt("coredump");
	hasnt("seclabel");
	hasnt("qemu:arg");
	noted("commandline");
	noted("security label dac");
}

static void test_one_console(void **state)
{
	struct adapt_options o = { .console_file = "/run/c&" };
	(void)state;
	adapt_devices("<serial type='pty'><source path='/dev/pts/1'/>"
		      "<log file='/log'/><target port='0'/></serial>"
		      "<serial type='tcp'><target port='1'/></serial>"
		      "<console type='pty'><target type='serial'/></console>"
		      "<console type='unix'><source path='/u'/>"
		      "<target type='virtio'/></console>",
			&o);
	has("<serial type=\"file\"><target port=\"0\"/>"
	    "<source path=\"/run/c&amp;\" append=\"on\"/></serial>");
	has("<serial type=\"null\"><target port=\"1\"/></serial>");
	has("<console type=\"null\"><target type=\"virtio\"/></console>");
	hasnt("/dev/pts/1");
	hasnt("/log");
	hasnt("\"serial\"");
	adapt_devices("<console type='pty'><target type='virtio'/></console>",
			&o);
	has("<console type=\"file\">");
	hasnt("<serial");
	adapt_devices("<console type='pty'/>", &o);
	has("<serial type=\"file\">");
	hasnt("<console");
	adapt_devices("", &o);
	has("<serial type=\"file\">");
}

static void test_ports_and_channels(void **state)
{
	const char *xml =
			"<serial type='file'><source path='/var/log/c'/>"
			"</serial><channel type='unix'><source path='/s'/>"
			"<target type='virtio' name='org.x'/></channel>"
			"<channel type='unix'><source path='/libvirts'/>"
			"<target type='virtio' name='org.qemu.guest_agent.0'/>"
			"</channel><graphics type='vnc' port='5901'>"
			"<listen type='socket' socket='/vnc'/></graphics>"
			"<vsock><cid auto='no' address='3'/></vsock>";
	struct adapt_options o = { .same_identity = false };
	(void)state;
	adapt_devices(xml, &o);
	hasnt("/var/log/c");
	hasnt("\"/s\"");
	hasnt("libvirts");
	hasnt("/vnc");
	hasnt("5901");
	has("<listen type=\"socket\"/>");
	has("<cid auto=\"yes\"/>");
	o.same_identity = true;
	adapt_devices(xml, &o);
	has("/var/log/c");
	has("\"/s\"");
	hasnt("libvirts");
	has("5901");
	has("address=\"3\"");
}

static void test_firmware(void **state)
{
	const char *xml = HEAD
			"<os><type>hvm</type><loader type='pflash'>/code"
			"</loader><nvram template='/t' type='file'>"
			"<source file='/old.fd'/></nvram><kernel>/k</kernel>"
			"</os></domain>";
	struct adapt_options o = { .nvram = "/new.fd",
		.kernel = "/k2",
		.initrd = "/i2" };
	(void)state;
	assert_int_equal(adapt(xml, &o), 0);
	has("<nvram template=\"/t\">/new.fd</nvram>");
	has("<kernel>/k2</kernel>");
	has("<initrd>/i2</initrd>");
	hasnt("/old.fd");
	o = (struct adapt_options){ .same_identity = true };
	assert_int_equal(adapt(xml, &o), 0);
	has("<nvram template=\"/t\"/>");
	has("<kernel>/k</kernel>");
	hasnt("/old.fd");
	noted("NVRAM");
}

static void test_tpm(void **state)
{
	const char *xml =
			"<tpm><backend type='emulator' persistent_state='yes'>"
			"<encryption secret='s'/></backend></tpm>";
	struct adapt_options o = { .isolated = true, .throw_away = true };
	(void)state;
	adapt_devices(xml, &o);
	noted("TPM is new and empty");
	hasnt("encryption");
	hasnt("persistent_state");
	o = (struct adapt_options){ .isolated = true, .tpm_placed = true };
	adapt_devices(xml, &o);
	has("encryption");
	has("persistent_state");
	assert_string_equal(notes, "");
}

/* Beside the original nothing may write where that does. */
static void test_what_goes_past_libvirt(void **state)
{
	const char *drive = "<domain xmlns:q='q'><name>n</name><q:commandline>"
			    "<q:arg value='-drive'/>"
			    "<q:arg value='file=/images/x,if=virtio'/>"
			    "</q:commandline></domain>";
	const char *cpu = "<domain xmlns:q='q'><name>n</name><q:commandline>"
			  "<q:arg value='-cpu'/></q:commandline></domain>";
	struct adapt_options o = { .same_identity = false };
	(void)state;
	assert_int_equal(adapt(drive, &o), 0);
	hasnt("/images/x");
	noted("commandline left out");
	assert_int_equal(adapt(cpu, &o), 0);
	has("-cpu");
	noted("commandline is kept");
	adapt_devices("<audio id='1' type='file' path='/tmp/a.wav'/>"
		      "<channel type='spicevmc'><log file='/log'/>"
		      "<target type='virtio'/></channel>",
			&o);
	hasnt("a.wav");
	hasnt("/log");
	o.same_identity = true;
	assert_int_equal(adapt(drive, &o), 0);
	has("/images/x");
	assert_string_equal(notes, "");
}

static void refused(const char *xml, const struct adapt_options *options,
		int err)
{
	assert_int_equal(adapt(xml, options), err);
	assert_null(out);
	assert_null(notes);
}

static void test_hostile(void **state)
{
	struct adapt_options o = { .name = "n",
		.disks = &overlay,
		.disk_count = 1 };
	(void)state;
	refused("", &o, -EBADMSG);
	refused("<domain>", &o, -EBADMSG);
	refused("<network/>", &o, -EBADMSG);
	refused("<!DOCTYPE domain [<!ENTITY x SYSTEM '/etc/passwd'>]>"
		"<domain><name>&x;</name></domain>",
			&o, -EBADMSG);
	/* Too little, twice, empty, or of the wrong kind. */
	assert_int_equal(adapt("<domain/>", &o), 0);
	has("<name>n</name>");
	assert_int_equal(adapt("<domain><uuid>a</uuid><uuid>b</uuid><os/>"
			       "<devices><disk/></devices></domain>",
					 &o),
			0);
	hasnt("uuid");
	adapt_devices("<disk/><serial/><console/><channel/><graphics/><tpm/>"
		      "<interface/><video/><rng/><audio/><memory/><vsock/>"
		      "<disk><target/></disk><emulator/>text<?pi x?><!--c-->",
			&o);
	/* One of them would go unseen. */
	refused("<domain><devices/><devices/></domain>", &o, -EBADMSG);
	refused("<domain><os/><x/><os/></domain>", &o, -EBADMSG);
	/* What is written is text, never XML. */
	o.name = "</name><evil/>&amp;";
	assert_int_equal(adapt("<domain><name>x</name></domain>", &o), 0);
	has("<name>&lt;/name&gt;&lt;evil/&gt;&amp;amp;</name>");
	o.name = "a\001b";
	refused("<domain/>", &o, -EINVAL);
	o.name = "a\xff";
	refused("<domain/>", &o, -EINVAL);
	/* A terminal shows a note on one line. */
	o.name = NULL;
	adapt_devices("<disk><target dev='a&#10;&#x9b;b'/></disk>", &o);
	noted("a\\x0A\\xC2\\x9Bb is not");
}

/* The firmware's file belongs to the original, or to all. */
static void test_firmware_is_not_written(void **state)
{
	struct adapt_options o = { .name = "new" };
	const char *const loaders[] = { "<loader type='pflash'>/fw</loader>",
		"<loader type='pflash' readonly='no'>/fw</loader>",
		"<loader type='pflash' readonly='yes'>/fw</loader>" };
	char *xml = NULL;
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(asprintf(&xml, HEAD "<os>%s</os></domain>",
					    loaders[i])
				> 0);
		assert_int_equal(adapt(xml, &o), 0);
		has("readonly=\"yes\"");
		assert_true((strstr(notes, "firmware") != NULL) == (i < 2));
		o.isolated = true;
		assert_int_equal(adapt(xml, &o), 0);
		has("readonly=\"yes\"");
		o.isolated = false;
		free(xml);
	}
	o.same_identity = true;
	assert_int_equal(adapt(HEAD "<os><loader type='pflash'>/fw</loader>"
				    "</os></domain>",
					 &o),
			0);
	hasnt("readonly");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_firmware_is_not_written),
		cmocka_unit_test(test_disk_gets_the_whole_chain),
		cmocka_unit_test(test_restored_disk_ends),
		cmocka_unit_test(test_what_a_disk_had),
		cmocka_unit_test(test_ports_of_graphics),
		cmocka_unit_test(test_other_disks),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_isolated_keeps_only_what_is_known),
		cmocka_unit_test(test_isolated_lets_the_host_go),
		cmocka_unit_test(test_one_console),
		cmocka_unit_test(test_ports_and_channels),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_tpm),
		cmocka_unit_test(test_what_goes_past_libvirt),
		cmocka_unit_test(test_hostile),
	};
	int err = cmocka_run_group_tests(tests, NULL, NULL);
	free(out);
	free(notes);
	return err;
}
