#define _GNU_SOURCE
#include "ioat-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

void ok(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("ok  ", stdout);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	va_end(args);
}

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	fputs("failed: ", stderr);
	vfprintf(stderr, format, args);
	if (error)
		fprintf(stderr, ": %s (errno %d)", strerror(error), error);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

bool common_option(struct options *o, char **argv, int *i)
{
	const char *name = argv[*i], *value = argv[*i + 1];

	if (!strcmp(name, "--private")) {
		o->private = true;
		return true;
	}
	if (!value)
		return false;
	if (!strcmp(name, "--root")) {
		o->root = value;
	} else if (!strcmp(name, "--bdf") || !strcmp(name, "--auxiliary")) {
		o->bus = name[2] == 'a' ? "auxiliary" : "pci";
		snprintf(o->bdf, sizeof(o->bdf), "%.31s", value);
	} else if (!strcmp(name, "--size")) {
		char *end;
		unsigned long mib = strtoul(value, &end, 10);

		if (*end || mib == 0 || mib > 1 << 20)
			return false;
		o->bytes = (size_t)mib << 20;
	} else {
		return false;
	}
	++*i;
	return true;
}

const char *path(const struct options *o, const char *format, ...)
{
	static char buffers[4][4096];
	static unsigned next;
	char *buffer = buffers[next++ % 4];
	size_t length = snprintf(buffer, sizeof(buffers[0]), "%s", o->root);
	va_list args;

	if (length >= sizeof(buffers[0]) - 512)
		die("--root is too long");
	va_start(args, format);
	vsnprintf(buffer + length, sizeof(buffers[0]) - length, format, args);
	va_end(args);
	return buffer;
}

static unsigned long read_hex(const char *file)
{
	char text[32] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		die("read %s", file);
	close(fd);
	return strtoul(text, NULL, 16);
}

void find_function(struct options *o)
{
	const char *bus = path(o, "/sys/bus/pci/devices");

	if (!o->bdf[0]) {
		struct dirent **entries;
		int count = scandir(bus, &entries, NULL, alphasort);

		if (count < 0)
			die("scandir %s", bus);
		for (int i = 0; i < count; i++) {
			const char *name = entries[i]->d_name;

			if (o->bdf[0] || name[0] == '.')
				continue;
			if (read_hex(path(o, "/sys/bus/pci/devices/%s/vendor", name)) == 0x8086 &&
			    read_hex(path(o, "/sys/bus/pci/devices/%s/device", name)) == 0x2021)
				snprintf(o->bdf, sizeof(o->bdf), "%.31s", name);
		}
		for (int i = 0; i < count; i++)
			free(entries[i]);
		free(entries);
		errno = 0;
		if (!o->bdf[0])
			die("find: no 8086:2021 below %s", bus);
	}
	ok("find %s", o->bdf);
}

void *memory(const struct options *o, size_t bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;

	if (!o->private) {
		fd = memfd_create("ioat", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, bytes))
			die("memfd of %zu bytes", bytes);
		flags = MAP_SHARED;
	}
	void *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (va == MAP_FAILED)
		die("mmap %zu bytes", bytes);
	if (fd >= 0)
		close(fd);
	return va;
}

void map_dma(const struct device *d, void *va, uint64_t iova, size_t bytes)
{
	if (d->group_fd >= 0) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)va,
			.iova = iova,
			.size = bytes,
		};

		if (ioctl(d->iommu_fd, VFIO_IOMMU_MAP_DMA, &map))
			die("VFIO_IOMMU_MAP_DMA %zu bytes at 0x%llx", bytes, (unsigned long long)iova);
	} else {
		struct iommu_ioas_map map = {
			.size = sizeof(map),
			.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
			.ioas_id = d->ioas,
			.user_va = (uintptr_t)va,
			.length = bytes,
			.iova = iova,
		};

		if (ioctl(d->iommu_fd, IOMMU_IOAS_MAP, &map))
			die("IOMMU_IOAS_MAP %zu bytes at 0x%llx", bytes, (unsigned long long)iova);
	}
	ok("map %zu KiB at 0x%llx", bytes >> 10, (unsigned long long)iova);
}

void bus_master(const struct device *d)
{
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;

	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &config))
		die("VFIO_DEVICE_GET_REGION_INFO config");
	if (pread(d->fd, &command, 2, config.offset + 4) != 2)
		die("pread COMMAND");
	command |= 0x6; /* memory space, bus master */
	if (pwrite(d->fd, &command, 2, config.offset + 4) != 2)
		die("pwrite COMMAND");
	ok("bus master on");
}

int irq_eventfd(const struct device *d)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };

	if (ioctl(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
		die("VFIO_DEVICE_GET_IRQ_INFO MSI-X");
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		die("eventfd");
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = 1,
		.eventfd = fd,
	};
	int left = ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &set);

	if (left)
		die("VFIO_DEVICE_SET_IRQS gives %d", left);
	ok("irq MSI-X, %u vectors, eventfd %d", info.count, fd);
	return fd;
}
