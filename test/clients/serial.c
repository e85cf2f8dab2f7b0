/*
 * A mediated serial port, by its UUID: opens it through its group or its cdev, programs the 16550 and says what it hears.
 * serial UUID group|cdev intx|msi TEXT
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "uapi.h"

enum { DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR };
#define IIR FCR

static int device;
static uint64_t ports;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void out(int reg, uint8_t value)
{
	if (pwrite(device, &value, 1, ports + reg) != 1)
		fail("pwrite");
}

static uint8_t in(int reg)
{
	uint8_t value;

	if (pread(device, &value, 1, ports + reg) != 1)
		fail("pread");
	return value;
}

static void open_group(const char *uuid)
{
	char link[256], target[512], node[600];

	snprintf(link, sizeof(link), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		fail(link);
	target[length] = 0;
	snprintf(node, sizeof(node), "/dev/vfio/%s", strrchr(target, '/') + 1);
	int container = open("/dev/vfio/vfio", O_RDWR);
	int group = open(node, O_RDWR);
	if (container < 0 || group < 0)
		fail(node);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		fail("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("VFIO_SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, uuid);
	if (device < 0)
		fail("VFIO_GROUP_GET_DEVICE_FD");
}

static void open_cdev(const char *uuid)
{
	char directory[256], node[300] = "";

	snprintf(directory, sizeof(directory), "/sys/bus/mdev/devices/%s/vfio-dev", uuid);
	DIR *entries = opendir(directory);
	if (!entries)
		fail(directory);
	for (struct dirent *entry; (entry = readdir(entries));)
		if (!strncmp(entry->d_name, "vfio", 4))
			snprintf(node, sizeof(node), "/dev/vfio/devices/%.200s", entry->d_name);
	closedir(entries);
	device = open(node, O_RDWR);
	int iommu = open("/dev/iommu", O_RDWR);
	if (device < 0 || iommu < 0)
		fail(node);
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommu };
	if (ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		fail("VFIO_DEVICE_BIND_IOMMUFD");
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &alloc))
		fail("IOMMU_IOAS_ALLOC");
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = alloc.out_ioas_id };
	if (ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		fail("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	if (attach.pt_id != alloc.out_ioas_id)
		fail("an access keeps the id of the IOAS");
}

static void set_irqs(uint32_t index, uint32_t flags, int fd)
{
	struct vfio_irq_set set = { .argsz = sizeof(set), .flags = flags, .index = index, .count = 1, .eventfd = fd };

	if (ioctl(device, VFIO_DEVICE_SET_IRQS, &set))
		fail("VFIO_DEVICE_SET_IRQS");
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	if (!strcmp(argv[2], "group"))
		open_group(argv[1]);
	else
		open_cdev(argv[1]);
	int message = !strcmp(argv[3], "msi");
	const char *text = argv[4];

	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX };
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("VFIO_DEVICE_GET_REGION_INFO");
	ports = info.offset;
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config))
		fail("VFIO_DEVICE_GET_REGION_INFO");
	uint16_t ids[2];
	if (pread(device, ids, 4, config.offset) != 4)
		fail("pread of the ids");
	uint16_t command = 0x5; /* I/O, and the bus master that sends messages */
	if (pwrite(device, &command, 2, config.offset + 4) != 2)
		fail("pwrite of COMMAND");
	printf("%04x:%04x with %u ports\n", ids[0], ids[1], (unsigned)info.size);

	int event = eventfd(0, EFD_CLOEXEC);
	/* VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER */
	set_irqs(message, 0x24, event);
	out(LCR, 0x83);
	out(DATA, 1);
	out(IER, 0);
	out(LCR, 0x03);
	out(FCR, 0x01);
	out(IER, 0x01);
	printf("heard: ");
	for (const char *at = text; *at; at++) {
		struct pollfd wait = { .fd = event, .events = POLLIN };
		uint64_t count;

		out(DATA, *at);
		if (poll(&wait, 1, 5000) != 1) {
			fprintf(stderr, "no interrupt for %c\n", *at);
			return 1;
		}
		if (read(event, &count, 8) != 8)
			fail("read of the eventfd");
		if ((in(IIR) & 0x0f) != 0x04 || !(in(LSR) & 1)) {
			fprintf(stderr, "an interrupt without a character\n");
			return 1;
		}
		putchar(in(DATA));
		/* VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK */
		if (!message)
			set_irqs(0, 0x11, 0);
	}
	putchar('\n');
	fflush(stdout);
	/* Held until somebody asks for it back, or stdin ends. */
	int request = eventfd(0, EFD_CLOEXEC);
	set_irqs(4, 0x24, request);
	struct pollfd ends[2] = { { .fd = request, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	poll(ends, 2, 10000);
	if (ends[0].revents)
		printf("asked to let go\n");
	return 0;
}
