/* Every ioctl number on every kind of file. */
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
