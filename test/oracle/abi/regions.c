/* Reads, writes and mappings of a device's regions, and the ways to an open device. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"
#include "shapes.h"

static const char *const region_names[] = { "BAR0", "BAR1", "BAR2", "BAR3", "BAR4", "BAR5", "ROM", "CONFIG", "VGA" };

uint64_t region_offset(int fd, unsigned index)
{
	struct {
		uint32_t argsz, flags, index, cap_offset;
		uint64_t size, offset;
	} info = { .argsz = sizeof(info), .index = index };

	/* A region without information (VGA) is addressed as the kernel would, relative to the first. */
	if (!ioctl(fd, GET_REGION_INFO.number, &info))
		return info.offset;
	info.index = 0;
	return ioctl(fd, GET_REGION_INFO.number, &info) ? (uint64_t)index << 40 : info.offset + ((uint64_t)index << 40);
}

static void say_bytes(long length, const uint8_t *bytes)
{
	if (length < 0) {
		result(length);
		return;
	}
	say(" = %ld", length);
	for (long i = 0; i < length && i < 64; i++)
		say(" %02x", bytes[i]);
	say("\n");
}

void read_region(int fd, unsigned index, uint64_t offset, unsigned length)
{
	uint8_t bytes[4096];
	uint64_t base = region_offset(fd, index);

	say("%s.pread( %s+%#llx %u )", fd_name(fd), region_names[index], (unsigned long long)offset, length);
	say_bytes(pread(fd, bytes, length, base + offset), bytes);
}

void write_region(int fd, unsigned index, uint64_t offset, unsigned length, uint64_t value)
{
	uint64_t base = region_offset(fd, index);

	say("%s.pwrite( %s+%#llx %u %#llx )", fd_name(fd), region_names[index], (unsigned long long)offset, length,
	    (unsigned long long)value);
	result(pwrite(fd, &value, length, base + offset));
}

uint64_t peek(int fd, unsigned index, uint64_t offset, unsigned length)
{
	uint64_t value = 0;

	if (pread(fd, &value, length, region_offset(fd, index) + offset) != (ssize_t)length)
		return ALL_ONES;
	return value;
}

void read_at(int fd, uint64_t offset, unsigned length)
{
	uint8_t bytes[4096];

	say("%s.pread( %#llx %u )", fd_name(fd), (unsigned long long)offset, length);
	say_bytes(pread(fd, bytes, length, offset), bytes);
}

void write_at(int fd, uint64_t offset, unsigned length, uint64_t value)
{
	say("%s.pwrite( %#llx %u )", fd_name(fd), (unsigned long long)offset, length);
	result(pwrite(fd, &value, length, offset));
}

void *map_region(int fd, unsigned index, uint64_t offset, uint64_t length, int private)
{
	uint64_t base = region_offset(fd, index);
	void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, private ? MAP_PRIVATE : MAP_SHARED, fd, base + offset);

	say("%s.mmap( %s+%#llx %#llx%s ) = %s\n", fd_name(fd), region_names[index], (unsigned long long)offset,
	    (unsigned long long)length, private ? " private" : "", address == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	return address == MAP_FAILED ? NULL : address;
}

static sigjmp_buf landing;

static void land(int number)
{
	siglongjmp(landing, number);
}

void touch(void *address, uint64_t offset)
{
	struct sigaction action = { .sa_handler = land };
	int caught;

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	caught = sigsetjmp(landing, 1);
	if (!caught && address)
		(void)*(volatile uint32_t *)((char *)address + offset);
	say("  load +%#llx: %s\n", (unsigned long long)offset, !address ? "not mapped" : caught ? sigabbrev_np(caught) : "ok");
}

void unmap(void *address, uint64_t length)
{
	if (address)
		munmap(address, length);
}

struct opened open_by_group(const char *bdf, unsigned type)
{
	struct opened o;

	quiet(1);
	o.container = open_file("/dev/vfio/vfio", "container");
	o.group = open_group(bdf, "group");
	CALL(o.group, SET_CONTAINER, o.container);
	call_value(o.container, &SET_IOMMU, type);
	o.device = device_fd(o.group, bdf, "device");
	quiet(0);
	say("opened %s by its group: %s\n", bdf, o.device < 0 ? "failed" : "ok");
	return o;
}

void close_opened(struct opened o)
{
	quiet(1);
	if (o.device >= 0)
		shut(o.device);
	shut(o.group);
	shut(o.container);
	quiet(0);
}

struct bound open_by_cdev(const char *bdf)
{
	struct bound b;

	quiet(1);
	b.iommu = open_file("/dev/iommu", "iommu");
	b.device = open_cdev(bdf, "cdev");
	CALL(b.device, BIND_IOMMUFD, 24, 0, b.iommu);
	b.devid = field("out_devid");
	quiet(0);
	say("opened %s by its cdev: device id %u\n", bdf, b.devid);
	return b;
}

void close_bound(struct bound b)
{
	quiet(1);
	shut(b.device);
	shut(b.iommu);
	quiet(0);
}
