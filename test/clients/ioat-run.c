/* Drives the engine: one chain of descriptors over the whole buffer, one interrupt at its end. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ioat-common.h"

#define RING_IOVA 0x10000000ull
#define BUFFER_IOVA 0x100000000ull
#define TIMEOUT_MS 10000

struct descriptor {
	uint32_t size;
	uint32_t control;
	uint64_t source;
	uint64_t destination;
	uint64_t next;
	uint64_t rest[4];
};
#define DESC_INT 0x01
#define DESC_COMPLETION 0x08

/* BAR0: the engine, then channel 0. */
#define XFERCAP 0x01
#define INTRCTRL 0x03
#define CBVER 0x08
#define CHANCTRL 0x80
#define CHANCMD 0x84
#define DMACOUNT 0x86
#define CHANSTS 0x88
#define CHAINADDR 0x90
#define CHANCMP 0x98
#define CHANERR 0xa8

/* Registers: mapped where the region can be, else through the descriptor. */
struct bar {
	volatile uint8_t *mapped; /* or NULL */
	int fd;
	uint64_t offset;
};

#define GET(type, at) ((type)get(bar, at, sizeof(type)))
#define PUT(type, at, value) put(bar, at, sizeof(type), (type)(value))

static uint64_t get(const struct bar *bar, uint64_t at, size_t size)
{
	volatile uint8_t *mapped = bar->mapped + at;
	uint64_t value = 0;

	if (!bar->mapped) {
		if (pread(bar->fd, &value, size, bar->offset + at) != (ssize_t)size)
			die("pread of register 0x%llx", (unsigned long long)at);
		return value;
	}
	switch (size) {
	case 1:
		return *mapped;
	case 2:
		return *(volatile uint16_t *)mapped;
	case 4:
		return *(volatile uint32_t *)mapped;
	default:
		return *(volatile uint64_t *)mapped;
	}
}

static void put(const struct bar *bar, uint64_t at, size_t size, uint64_t value)
{
	volatile uint8_t *mapped = bar->mapped + at;

	if (!bar->mapped) {
		if (pwrite(bar->fd, &value, size, bar->offset + at) != (ssize_t)size)
			die("pwrite of register 0x%llx", (unsigned long long)at);
		return;
	}
	switch (size) {
	case 1:
		*mapped = value;
		break;
	case 2:
		*(volatile uint16_t *)mapped = value;
		break;
	case 4:
		*(volatile uint32_t *)mapped = value;
		break;
	default:
		*(volatile uint64_t *)mapped = value;
	}
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static uint64_t pattern(size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static void device_info(const struct device *d)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(d->fd, VFIO_DEVICE_GET_INFO, &info))
		die("VFIO_DEVICE_GET_INFO");
	errno = 0;
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI))
		die("VFIO_DEVICE_GET_INFO: flags 0x%x, not PCI", info.flags);
	ok("info %u regions, %u irqs", info.num_regions, info.num_irqs);
}

static struct bar open_bar(const struct device *d)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX };

	if (ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("VFIO_DEVICE_GET_REGION_INFO BAR0");
	ok("region BAR0 %llu bytes, flags 0x%x", (unsigned long long)region.size, region.flags);

	struct bar found = { .fd = d->fd, .offset = region.offset }, *bar = &found;

	if (region.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		bar->mapped = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, region.offset);
		if (bar->mapped == MAP_FAILED)
			die("mmap BAR0");
	} else if (mmap(NULL, region.size, PROT_READ, MAP_SHARED, d->fd, region.offset) != MAP_FAILED) {
		errno = 0;
		die("BAR0 has no MMAP flag, and can be mapped");
	}
	errno = 0;
	if (GET(uint8_t, CBVER) >> 4 != 3)
		die("CBVER 0x%x", GET(uint8_t, CBVER));
	ok("%s BAR0, CBVER 0x%x", bar->mapped ? "mmap" : "pread", GET(uint8_t, CBVER));
	return found;
}

static void reset_channel(const struct bar *bar)
{
	double end = seconds() + TIMEOUT_MS / 1000;

	PUT(uint8_t, CHANCMD, 0x20);
	while (GET(uint8_t, CHANCMD) & 0x20) {
		if (seconds() > end)
			die("reset: CHANCMD 0x%x", GET(uint8_t, CHANCMD));
		usleep(100);
	}
	ok("reset");
}

/* Chains copies of at most 1 << XFERCAP bytes; returns how many. */
static size_t build_ring(struct descriptor *ring, size_t bytes, size_t largest)
{
	size_t count = 0;

	for (size_t at = 0; at < bytes; at += largest, count++) {
		size_t size = bytes - at < largest ? bytes - at : largest;

		ring[count] = (struct descriptor){
			.size = size,
			.control = at + size == bytes ? DESC_INT | DESC_COMPLETION : 0,
			.source = BUFFER_IOVA + at,
			.destination = BUFFER_IOVA + bytes + at,
			.next = RING_IOVA + (count + 1) * sizeof(*ring),
		};
	}
	return count;
}

static void await_interrupt(int irq, const struct bar *bar, const volatile uint64_t *status)
{
	struct pollfd wait = { .fd = irq, .events = POLLIN };
	uint64_t fired;
	int ready = poll(&wait, 1, TIMEOUT_MS);

	if (ready < 0)
		die("poll");
	if (ready == 0)
		die("no interrupt in %d s: CHANSTS 0x%llx, CHANERR 0x%x, written back 0x%llx", TIMEOUT_MS / 1000,
		    (unsigned long long)GET(uint64_t, CHANSTS), GET(uint32_t, CHANERR),
		    (unsigned long long)*status);
	if (read(irq, &fired, sizeof(fired)) != sizeof(fired))
		die("read eventfd");
}

void ioat_run(const struct options *o, const struct device *d)
{
	size_t words = o->bytes / sizeof(uint64_t);

	device_info(d);
	bus_master(d); /* and memory space: without it the BAR's pages give SIGBUS */
	struct bar opened = open_bar(d), *bar = &opened;
	size_t largest = (size_t)1 << GET(uint8_t, XFERCAP);
	size_t descriptors = (o->bytes + largest - 1) / largest;
	size_t ring_bytes = ((descriptors + 1) * sizeof(struct descriptor) + 4095) & ~(size_t)4095;

	errno = 0;
	if (descriptors > UINT16_MAX)
		die("%zu descriptors of %zu bytes: more than DMACOUNT can say", descriptors, largest);
	uint64_t *source = memory(o, 2 * o->bytes), *destination = source + words;
	struct descriptor *ring = memory(o, ring_bytes);
	/* Behind the last descriptor, the device leaves its status. */
	volatile uint64_t *status = ring[descriptors].rest;

	map_dma(d, source, BUFFER_IOVA, 2 * o->bytes);
	map_dma(d, ring, RING_IOVA, ring_bytes);
	int irq = irq_eventfd(d);

	for (size_t i = 0; i < words; i++)
		source[i] = pattern(i);
	memset(destination, 0xa5, o->bytes);
	reset_channel(bar);
	if (build_ring(ring, o->bytes, largest) != descriptors)
		die("ring of %zu descriptors", descriptors);

	PUT(uint8_t, INTRCTRL, 0x09); /* master enable, one vector per channel */
	PUT(uint16_t, CHANCTRL, 0x1d); /* re-arm, completion and interrupt on error, abort on error */
	PUT(uint64_t, CHANCMP, RING_IOVA + (uintptr_t)status - (uintptr_t)ring);
	PUT(uint64_t, CHAINADDR, RING_IOVA);
	__sync_synchronize();
	double start = seconds();

	PUT(uint16_t, DMACOUNT, descriptors);
	await_interrupt(irq, bar, status);
	double taken = seconds() - start;

	errno = 0;
	if ((*status & 7) == 3)
		die("channel halted: CHANERR 0x%x", GET(uint32_t, CHANERR));
	if ((*status & ~0x3full) != RING_IOVA + (descriptors - 1) * sizeof(*ring))
		die("completion 0x%llx is not the last descriptor", (unsigned long long)*status);
	ok("copy %zu MiB, %zu descriptors, interrupt on the eventfd", o->bytes >> 20, descriptors);
	for (size_t i = 0; i < words; i++)
		if (destination[i] != pattern(i))
			die("verify: byte %zu of the copy differs", i * sizeof(uint64_t));
	for (size_t i = 0; i < words; i++)
		if (source[i] != pattern(i))
			die("verify: byte %zu of the source changed", i * sizeof(uint64_t));
	ok("verify %zu bytes", o->bytes);
	ok("bandwidth %.2f GB/s (%.3f ms)", o->bytes / taken / 1e9, taken * 1e3);
}
