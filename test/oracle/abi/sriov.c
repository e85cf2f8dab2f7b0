/* SR-IOV: VFs made by vfio-pci, their tokens, what they look like. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "scenarios.h"

static const char *const virtual[] = { "0000:01:00.1", "0000:01:00.2" };
static const char numvfs[] = "/sys/bus/pci/devices/" NVME "/sriov_numvfs";

#define TOKEN1 "00112233-4455-6677-8899-aabbccddeeff"
#define TOKEN2 "ffeeddcc-bbaa-9988-7766-554433221100"

/* Each group is opened once, and all share a container. */
static int by_group(const char *bdf, const char *token, const char *name)
{
	static int container = -1, groups[64];
	char string[128];
	unsigned number = group_number(bdf) % LENGTH(groups);

	snprintf(string, sizeof(string), "%s%s%s", bdf, token ? " vf_token=" : "", token ?: "");
	quiet(1);
	if (container < 0)
		container = open_file("/dev/vfio/vfio", "container");
	if (!groups[number]) {
		groups[number] = open_group(bdf, "group");
		CALL(groups[number], SET_CONTAINER, container);
		call_value(container, &SET_IOMMU, 3);
	}
	quiet(0);
	return device_fd(groups[number], string, name);
}

void scenario_sriov(void)
{
	
	title("numvfs with vfio-pci");
	set_sysfs(numvfs, "2\n");
	set_sysfs("/sys/module/vfio_pci/parameters/enable_sriov", "Y\n");
	set_sysfs(numvfs, "99\n");
	title("the PF's token");
	/* First the PF: to open it is to reset it, which takes its VFs from the bus. */
	int pf = by_group(NVME, TOKEN1, "pf");

	set_sysfs(numvfs, "2\n");
	set_sysfs(numvfs, "3\n");
	for (unsigned i = 0; i < 2; i++)
		bind_vfio(virtual[i]);
	say("in the group of the PF: %d %d\n", group_number(virtual[0]) == group_number(NVME),
	    group_number(virtual[1]) == group_number(NVME));
	static const uint8_t uuid2[] = { 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0 };

	shut(by_group(virtual[0], NULL, "vf"));
	shut(by_group(virtual[0], TOKEN2, "vf"));
	int vf = by_group(virtual[0], TOKEN1, "vf");

	shut(by_group(NVME, NULL, "pf-again"));
	shut(by_group(NVME, TOKEN2, "pf-again"));
	shut(by_group(NVME, TOKEN1, "pf-again"));
	tail(uuid2, 16);
	CALL(pf, FEATURE, 24, FEATURE_SET | 0);
	tail(uuid2, 16);
	CALL(pf, FEATURE, 23, FEATURE_SET | 0);
	CALL(vf, FEATURE, 24, FEATURE_SET | 0);
	shut(by_group(virtual[1], TOKEN1, "vf1"));
	int vf1 = by_group(virtual[1], TOKEN2, "vf1");

	title("a VF's view");
	CALL(vf, GET_INFO, 24);
	for (unsigned index = 0; index < 9; index++)
		CALL(vf, GET_REGION_INFO, 40, 0, index);
	for (unsigned index = 0; index < 5; index++)
		CALL(vf, GET_IRQ_INFO, 16, 0, index);
	write_region(vf, 7, 4, 2, 0);
	say("  memory bit: %u\n", (unsigned)(peek(vf, 7, 4, 2) >> 1 & 1));
	say("vf.pread( BAR0 )");
	uint32_t word;

	result(pread(vf, &word, 4, region_offset(vf, 0)));
	call_value(vf, &RESET, 0);
	CALL(vf, GET_PCI_HOT_RESET_INFO, 64);
	title("the end");
	shut(vf);
	shut(vf1);
	shut(by_group(NVME, NULL, "pf-again"));
	shut(pf);
	set_sysfs(numvfs, "0\n");
	set_sysfs("/sys/module/vfio_pci/parameters/enable_sriov", "N\n");
}

void scenario_config_vf(void)
{
	quiet(1);
	set_sysfs("/sys/module/vfio_pci/parameters/enable_sriov", "Y\n");
	int pf = by_group(NVME, TOKEN1, "pf");

	set_sysfs(numvfs, "1\n");
	bind_vfio(virtual[0]);
	int vf = by_group(virtual[0], TOKEN1, "vf");

	quiet(0);
	say("a VF: %s\n", vf < 0 ? "not opened" : "opened");
	dump_config(vf);
	sweep_config(vf, virtual[0]);
	quiet(1);
	shut(vf);
	set_sysfs(numvfs, "0\n");
	shut(pf);
	set_sysfs("/sys/module/vfio_pci/parameters/enable_sriov", "N\n");
	quiet(0);
}
