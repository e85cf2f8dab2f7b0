/*
 * What only a real client can show of /dev/iommu and type1: descriptors that come back in a struct, memory of a file, and how long a
 * mapping takes.
 *
 *     iommu [--root DIR] [--bdf BDF] objects | time COUNT [--shared]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ioat-common.h"

struct map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
struct fault_alloc {
	uint32_t size, flags, out_fault_id, out_fault_fd;
};
struct unmap {
	uint32_t argsz, flags;
	uint64_t iova, size;
};

#define PAGE 4096ul
#define IOMMU_DESTROY VFIO_IO(0x80)
#define IOMMU_FAULT_QUEUE_ALLOC VFIO_IO(0x8e)
#define IOMMU_IOAS_MAP_FILE VFIO_IO(0x8f)
#define VFIO_IOMMU_UNMAP_DMA VFIO_IO(0x72)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void expect(int good, const char *what)
{
	if (!good)
		die("%s", what);
	ok("%s", what);
}

static void fault_queue(struct device *d)
{
	struct fault_alloc alloc = { .size = sizeof(alloc) };
	uint32_t destroy[2] = { sizeof(destroy) };
	char buffer[80];

	if (ioctl(d->iommu_fd, IOMMU_FAULT_QUEUE_ALLOC, &alloc))
		die("IOMMU_FAULT_QUEUE_ALLOC");
	ok("fault queue id %u fd %u", alloc.out_fault_id, alloc.out_fault_fd);
	int fd = alloc.out_fault_fd;
	struct pollfd events = { .fd = fd, .events = POLLIN | POLLOUT };

	expect(fcntl(fd, F_GETFD) == FD_CLOEXEC, "close-on-exec");
	expect(read(fd, buffer, sizeof(buffer)) == 0 && read(fd, buffer, 40) == 0, "nothing to read");
	expect(read(fd, buffer, 41) < 0 && errno == ESPIPE, "no whole requests: ESPIPE");
	expect(pread(fd, buffer, 40, 40) < 0 && errno == ESPIPE, "no position: ESPIPE");
	expect(poll(&events, 1, 0) == 1 && events.revents == POLLOUT, "writable only");
	expect(write(fd, buffer, 7) < 0 && errno == ESPIPE, "no whole answers: ESPIPE");
	memset(buffer, 0, 8);
	expect(write(fd, buffer, 8) < 0 && errno == EINVAL, "an unknown cookie: EINVAL");
	destroy[1] = alloc.out_fault_id;
	expect(ioctl(d->iommu_fd, IOMMU_DESTROY, destroy) < 0 && errno == EBUSY, "destroyed while open: EBUSY");
	close(fd);
	for (int tries = 0; ioctl(d->iommu_fd, IOMMU_DESTROY, destroy) && tries < 1000; tries++)
		usleep(1000); /* FUSE releases a file after close() has returned */
	expect(ioctl(d->iommu_fd, IOMMU_DESTROY, destroy) < 0 && errno == ENOENT, "destroyed");
}

static void file_memory(struct device *d)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct map_file map = { .size = sizeof(map), .flags = 7, .ioas_id = d->ioas, .fd = fd, .length = 2 * PAGE, .iova = 0x10000 };

	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		die("memfd_create");
	expect(!ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map), "map a memfd");
	map.iova = 0x20000;
	map.start = 3 * PAGE;
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == EINVAL, "past its end: EINVAL");
	map.start = 0;
	map.fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	map.length = PAGE;
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == EINVAL, "a file on disk: EINVAL");
	close(map.fd);
	map.fd = d->iommu_fd;
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == EINVAL, "/dev/iommu itself: EINVAL");
	map.fd = 999;
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == EBADF, "no descriptor: EBADF");
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	map.fd = open(path, O_RDONLY | O_CLOEXEC);
	expect(!ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map), "writeable by a descriptor that only reads");
}

/* A BAR as memory for others: the descriptor is as good as a memfd's, until the device can't be reached. */
static void dma_buf(struct device *d)
{
	struct {
		uint32_t argsz, feature, region, open_flags, flags, ranges;
		uint64_t offset, length;
	} export = { .argsz = sizeof(export), .feature = 0x10000 | 11, .open_flags = O_RDWR | O_CLOEXEC, .ranges = 1, .length = PAGE };
	uint64_t sync = 3, command = 4;
	uint16_t decode = 6;

	if (pwrite(d->fd, &decode, 2, (7ll << 40) + command) != 2)
		die("memory decode");
	int fd = ioctl(d->fd, VFIO_IO(0x75), &export);
	struct map_file map = { .size = sizeof(map), .flags = 7, .ioas_id = d->ioas, .fd = fd, .length = PAGE, .iova = 0x40000 };
	struct pollfd events = { .fd = fd, .events = POLLIN | POLLOUT };

	expect(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "a dma-buf, close-on-exec");
	expect(!ioctl(fd, 0x40086200, &sync), "DMA_BUF_IOCTL_SYNC");
	expect(!ioctl(fd, 0x40086201, "bar"), "DMA_BUF_SET_NAME");
	expect(poll(&events, 1, 0) == 1 && events.revents == (POLLIN | POLLOUT), "nobody waits for it");
	expect(read(fd, &sync, 8) < 0 && errno == EINVAL, "no reading: EINVAL");
	expect(!ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map), "map a dma-buf");
	map.iova = 0x50000;
	map.start = PAGE;
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == EINVAL, "past its end: EINVAL");
	map.start = 0;
	decode = 4;
	if (pwrite(d->fd, &decode, 2, (7ll << 40) + command) != 2)
		die("memory decode");
	expect(ioctl(d->iommu_fd, IOMMU_IOAS_MAP_FILE, &map) < 0 && errno == ENODEV, "memory decode off: ENODEV");
	close(fd);
}

static void measure(struct device *d, unsigned long count, int shared)
{
	char *memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	memset(memory, 1, count * PAGE);
	double begun = now();

	for (unsigned long i = 0; i < count; i++) {
		struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .vaddr = (uintptr_t)memory + i * PAGE, .iova = i * PAGE, .size = PAGE };

		if (ioctl(d->iommu_fd, VFIO_IOMMU_MAP_DMA, &map))
			die("VFIO_IOMMU_MAP_DMA %lu", i);
	}
	printf("map %.1f us\n", (now() - begun) / count);
	struct unmap unmap = { .argsz = sizeof(unmap), .flags = 2 };

	begun = now();
	if (ioctl(d->iommu_fd, VFIO_IOMMU_UNMAP_DMA, &unmap))
		die("VFIO_IOMMU_UNMAP_DMA");
	printf("unmap all %.1f us\n", now() - begun);
	expect(unmap.size == count * PAGE, "all unmapped");
}

int main(int argc, char **argv)
{
	struct options o = { .root = "", .bytes = 1 };
	struct device d;
	const char *what = NULL;
	unsigned long count = 0;
	int shared = 0;

	for (int i = 1; i < argc; i++) {
		if (common_option(&o, argv, &i))
			continue;
		if (!what)
			what = argv[i];
		else if (!strcmp(argv[i], "--shared"))
			shared = 1;
		else
			count = strtoul(argv[i], NULL, 0);
	}
	if (!what || (!strcmp(what, "time") ? !count : strcmp(what, "objects"))) {
		fprintf(stderr, "usage: %s [--root DIR] [--bdf 0000:00:00.0] objects | time COUNT [--shared]\n", argv[0]);
		return 2;
	}
	find_function(&o);
	if (count) {
		group_open(&o, &d);
		group_container(&d);
		measure(&d, count, shared);
		return 0;
	}
	cdev_open(&o, &d);
	cdev_bind(&d);
	cdev_attach(&d);
	fault_queue(&d);
	file_memory(&d);
	dma_buf(&d);
	return 0;
}
