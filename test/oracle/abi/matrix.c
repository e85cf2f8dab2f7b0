/* Every ioctl number on every kind of file, and SR-IOV's tokens. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "scenarios.h"

struct state {
	int container, group, device, iommu;
	int subject;
};

typedef void setting(struct state *);

static void container_alone(struct state *s)
{
	s->subject = s->container = open_file("/dev/vfio/vfio", "container");
}

static void group_alone(struct state *s)
{
	s->subject = s->group = open_group(EDU, "group");
}

static void join(struct state *s)
{
	container_alone(s);
	group_alone(s);
	CALL(s->group, SET_CONTAINER, s->container);
}

static void container_with_group(struct state *s)
{
	join(s);
	s->subject = s->container;
}

static void container_type1(struct state *s)
{
	container_with_group(s);
	call_value(s->container, &SET_IOMMU, 1);
}

static void container_type1v2(struct state *s)
{
	container_with_group(s);
	call_value(s->container, &SET_IOMMU, 3);
}

static void group_with_container(struct state *s)
{
	container_type1v2(s);
	s->subject = s->group;
}

static void device_of_group(struct state *s)
{
	container_type1v2(s);
	s->subject = s->device = device_fd(s->group, EDU, "device");
}

static void cdev_unbound(struct state *s)
{
	s->subject = s->device = open_cdev(EDU, "cdev");
}

static void cdev_bound(struct state *s)
{
	cdev_unbound(s);
	s->iommu = open_file("/dev/iommu", "iommu");
	CALL(s->device, BIND_IOMMUFD, 24, 0, s->iommu);
}

static void iommufd(struct state *s)
{
	s->subject = s->iommu = open_file("/dev/iommu", "iommu");
}

static void iommufd_with_group(struct state *s)
{
	iommufd(s);
	group_alone(s);
	CALL(s->group, SET_CONTAINER, s->iommu);
	s->subject = s->iommu;
}

static void group_with_iommufd(struct state *s)
{
	iommufd_with_group(s);
	s->subject = s->group;
}

static const struct {
	const char *name;
	setting *set;
} settings[] = {
	{ "container alone", container_alone },
	{ "container with a group", container_with_group },
	{ "container type1", container_type1 },
	{ "container type1v2", container_type1v2 },
	{ "group alone", group_alone },
	{ "group with a container", join },
	{ "group with a complete container", group_with_container },
	{ "group with an iommufd", group_with_iommufd },
	{ "device of a group", device_of_group },
	{ "cdev unbound", cdev_unbound },
	{ "cdev bound", cdev_bound },
	{ "iommufd", iommufd },
	{ "iommufd with a group", iommufd_with_group },
};

static long attempt(setting *set, unsigned number, unsigned first_word, int by_null)
{
	static uint8_t argument[4096];
	struct state s = { -1, -1, -1, -1, -1 };

	set(&s);
	memset(argument, 0, sizeof(argument));
	memcpy(argument, &first_word, 4);
	long returned = ioctl(s.subject, number, by_null ? NULL : argument);
	int error = errno;

	/* Both the descriptor that some calls make and those of the state. */
	if ((number & 0xff) == 0x6a && returned >= 0)
		close(returned);
	int all[] = { s.device, s.group, s.container, s.iommu };

	for (unsigned i = 0; i < 4; i++)
		if (all[i] >= 0)
			shut(all[i]);
	errno = error;
	return returned < 0 ? -error : returned;
}

static void say_outcome(const char *what, long outcome)
{
	if (outcome < 0)
		say(" %s %s", what, strerrorname_np(-outcome));
	else
		say(" %s %ld", what, outcome);
}

void scenario_matrix(void)
{
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		title("%s", settings[i].name);
		for (unsigned number = 0x3b60; number <= 0x3b96; number++) {
			quiet(1);
			long null = attempt(settings[i].set, number, 0, 1), zeros = attempt(settings[i].set, number, 0, 0),
			     sized = attempt(settings[i].set, number, 64, 0);

			quiet(0);
			say("%#x:", number);
			say_outcome("null", null);
			say_outcome("zeros", zeros);
			say_outcome("sized", sized);
			say("\n");
		}
		for (unsigned k = 0; k < 3; k++) {
			static const unsigned others[] = { 0x5401, 0x803b80 << 8 | 0x80, 0xc0083b80 };

			quiet(1);
			long outcome = attempt(settings[i].set, others[k], 8, 0);

			quiet(0);
			say("%#x:", others[k]);
			say_outcome("sized", outcome);
			say("\n");
		}
	}
}

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
	static const char *const virtual[] = { "0000:01:00.1", "0000:01:00.2" };
	const char *numvfs = "/sys/bus/pci/devices/" NVME "/sriov_numvfs";

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
	for (unsigned offset = 0; offset < 0x200; offset += 16)
		read_region(vf, 7, offset, 16);
	write_region(vf, 7, 4, 2, 0);
	read_region(vf, 7, 4, 2);
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
