/* IOASes: ranges, mappings, copies. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

#define RW (MAP_WRITEABLE | MAP_READABLE)
#define FIXED_RW (RW | MAP_FIXED_IOVA)

static uint32_t ioas(int iommu)
{
	CALL(iommu, IOAS_ALLOC, 12);
	return field("out_ioas_id");
}

static void ranges(int iommu, uint32_t id, unsigned number, uint64_t array)
{
	unsigned long long *words = (unsigned long long *)(MEM + 0x100000);

	memset(words, 0, 256);
	CALL(iommu, IOAS_IOVA_RANGES, 32, id, number, 0, array);
	for (unsigned i = 0; i < 4; i++)
		if (words[2 * i] || words[2 * i + 1])
			say("  %#llx-%#llx\n", words[2 * i], words[2 * i + 1]);
}

static void allow(int iommu, uint32_t id, unsigned number, const uint64_t *list)
{
	memcpy((void *)(MEM + 0x110000), list, number * 16);
	say("  allow:");
	for (unsigned i = 0; i < 2 * number; i++)
		say(" %#llx", (unsigned long long)list[i]);
	say("\n");
	CALL(iommu, IOAS_ALLOW_IOVAS, 24, id, number, 0, MEM + 0x110000);
}

void scenario_ioas(void)
{
	int iommu = open_file("/dev/iommu", "iommu");
	const uint64_t array = MEM + 0x100000;
	char byte;

	title("the file");
	say("iommu.read");
	result(read(iommu, &byte, 1));
	say("iommu.write");
	result(write(iommu, &byte, 1));
	say("iommu.mmap");
	result(mmap(NULL, 4096, PROT_READ, MAP_SHARED, iommu, 0) == MAP_FAILED ? -1 : 0);
	say("iommu.lseek");
	result(lseek(iommu, 0, SEEK_SET));
	title("ids");
	CALL(iommu, IOAS_ALLOC, 12, 1);
	uint32_t one = ioas(iommu), two = ioas(iommu), three = ioas(iommu);

	CALL(iommu, DESTROY, 8, two);
	CALL(iommu, DESTROY, 8, two);
	CALL(iommu, DESTROY, 8, 0);
	CALL(iommu, DESTROY, 8, ALL_ONES);
	two = ioas(iommu);
	room(8);
	CALL(iommu, IOAS_ALLOC, 12);
	room(12);
	CALL(iommu, IOAS_ALLOC, 12);
	CALL(iommu, DESTROY, 8, three);
	title("ranges of a fresh one");
	ranges(iommu, one, 0, array);
	ranges(iommu, one, 1, array);
	ranges(iommu, one, 8, array);
	ranges(iommu, one, 0, NOWHERE);
	ranges(iommu, one, 8, NOWHERE);
	ranges(iommu, 99, 8, array);
	CALL(iommu, IOAS_IOVA_RANGES, 32, one, 8, 1, array);
	CALL(iommu, IOAS_IOVA_RANGES, 32, 99, 8, 1, array);
	title("ALLOW_IOVAS");
	allow(iommu, one, 1, (uint64_t[]){ 0x100000, 0x1fffff });
	ranges(iommu, one, 8, array);
	allow(iommu, one, 1, (uint64_t[]){ 5, 5 });
	allow(iommu, one, 1, (uint64_t[]){ 6, 5 });
	allow(iommu, one, 2, (uint64_t[]){ 0x1000, 0x1fff, 0x1fff, 0x3000 });
	allow(iommu, one, 2, (uint64_t[]){ 0x100000, 0x1fffff, 0x300000, 0x3fffff });
	CALL(iommu, IOAS_ALLOW_IOVAS, 24, one, 1, 1, MEM);
	CALL(iommu, IOAS_ALLOW_IOVAS, 24, 99, 1, 0, MEM);
	CALL(iommu, IOAS_ALLOW_IOVAS, 24, one, 1, 0, NOWHERE);
	CALL(iommu, IOAS_ALLOW_IOVAS, 24, one, 0, 0, NOWHERE);
	title("with a device");
	int device = open_cdev(EDU, "cdev");

	CALL(device, BIND_IOMMUFD, 24, 0, iommu);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, one);
	ranges(iommu, one, 0, array);
	ranges(iommu, one, 1, array);
	ranges(iommu, one, 8, array);
	ranges(iommu, two, 8, array);
	allow(iommu, one, 1, (uint64_t[]){ 0xfee00000, 0xfeefffff });
	allow(iommu, one, 1, (uint64_t[]){ 0x100000, 0x1fffff });
	CALL(device, DETACH_IOMMUFD_PT, 8);
	ranges(iommu, one, 8, array);
	allow(iommu, one, 1, (uint64_t[]){ 0xfee00000, 0xfeefffff });
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, one);
	title("automatic choice across allowed neighbours");
	allow(iommu, two, 3, (uint64_t[]){ 0x300000, 0x300fff, 0x101000, 0x101fff, 0x100000, 0x100fff });
	CALL(iommu, IOAS_MAP, 40, RW, two, 0, MEM + 0x1000, 0x2000);
	CALL(iommu, IOAS_MAP, 40, RW, two, 0, MEM + 0x1000, 0x2000);
	CALL(iommu, IOAS_MAP, 40, RW, two, 0, MEM + 0x1000, 0x1000);
	shut(device);
	shut(iommu);
}

static void map_rules(int iommu, uint32_t id)
{
	title("flags and ids");
	for (unsigned flags = 0; flags <= 9; flags++)
		CALL(iommu, IOAS_MAP, 40, flags, id, 0, MEM, 0x1000, 0x10000000 + 0x10000 * flags);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 1, MEM, 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, 99, 0, MEM, 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, 0, 0, MEM, 0x1000, 0);
	title("extremes");
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, ALL_ONES, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, 0x1000, ALL_ONES);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA, 99, 0, MEM, ALL_ONES, 0);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA, 99, 0, MEM, 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, ALL_ONES, 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, -0x1000ull, 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, 0, ALL_ONES - 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, 0, ALL_ONES - 0x1000, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, 0, 1ull << 63, 0);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, -0x1000ull);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x2000, -0x1000ull);
	title("alignment");
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x800, 0x20000000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0x20010800);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM + 0x800, 0x1000, 0x20020000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM + 0x800, 0x1000, 0x20030800);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM + 0x800, 0x1000, 0);
	title("overlap");
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x4000, 0x30000000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x4000, 0x30000000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0x30003000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0x30004000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, NOWHERE, 0x1000, 0x30003000);
	title("the window");
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0xfee00000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x2000, 0xfedff000);
	for (unsigned width = 38; width < 64; width += width < 50 ? 1 : 7)
		CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 1ull << width);
	title("memory");
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, NOWHERE, 0x1000, 0x40000000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, READONLY_MEM, 0x1000, 0x40010000);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_READABLE, id, 0, READONLY_MEM, 0x1000, 0x40020000);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_WRITEABLE, id, 0, MEM, 0x1000, 0x40030000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM + MEM_SIZE - 0x1000, 0x2000, 0x40040000);
	room(40);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0x40050000);
	title("chosen addresses");
	CALL(iommu, IOAS_UNMAP, 24, id, 0, ALL_ONES);
	for (unsigned i = 0; i < 4; i++)
		CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM + 0x1000 * i, 0x1000 << i, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, 0x1000, 0x123);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, 0x200000, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, 0x800000, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM + 0x1000, 0x200000, 0);
	CALL(iommu, IOAS_MAP, 40, RW, id, 0, MEM, 0x3000, 0);
}

static void unmap_rules(int iommu, uint32_t id)
{
	title("unmap");
	CALL(iommu, IOAS_UNMAP, 24, id, 0, ALL_ONES);
	CALL(iommu, IOAS_UNMAP, 24, id, 0, ALL_ONES);
	CALL(iommu, IOAS_UNMAP, 24, 99, 0, ALL_ONES);
	CALL(iommu, IOAS_UNMAP, 24, id, 1, ALL_ONES);
	CALL(iommu, IOAS_UNMAP, 24, id, ALL_ONES, 1);
	CALL(iommu, IOAS_UNMAP, 24, id, 0, 0);
	CALL(iommu, IOAS_UNMAP, 24, id, -0x1000ull, 0x2000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0x1000);
	for (unsigned i = 0; i < 3; i++)
		CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x4000, 0x10000 + 0x8000 * i);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x11000, 0x1000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0x3000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0xa000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0x4000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0x100000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x10000, 0x100000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x4000, 0x10000);
	room(24);
	CALL(iommu, IOAS_UNMAP, 24, id, 0, 1ull << 63);
	CALL(iommu, IOAS_UNMAP, 24, id, 1ull << 63, 1ull << 63);
}

void scenario_ioas_map(void)
{
	int iommu = open_file("/dev/iommu", "iommu");
	uint32_t id = ioas(iommu);

	say("\n## no device\n");
	map_rules(iommu, id);
	unmap_rules(iommu, id);
	say("\n## a device\n");
	struct bound b = { .iommu = iommu, .device = open_cdev(EDU, "cdev") };

	CALL(b.device, BIND_IOMMUFD, 24, 0, iommu);
	id = ioas(iommu);
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, id);
	map_rules(iommu, id);
	unmap_rules(iommu, id);
	title("device memory");
	void *bar = map_region(b.device, 0, 0, 0x1000, 0);

	say("map the BAR for DMA:");
	quiet(1);
	long mapped = CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, (uint64_t)bar, 0x1000, 0x50000000);
	quiet(0);
	result(mapped);
	unmap(bar, 0x1000);
	title("MAP_FILE");
	int file = memfd_create("abi", 0), null = open_file("/dev/null", "null");

	name_fd(file, "memfd");
	if (ftruncate(file, 0x10000))
		say("no memfd\n");
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, file, 0, 0x1000, 0x60000000);
	CALL(iommu, IOAS_MAP_FILE, 40, RW, id, file, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, 8, id, file, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, 0, id, file, 0, ALL_ONES, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, 0, id, file, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, 99, file, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, file, 0, 0, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, 4000, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, -1, 0, 0x1000, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, 4000, ALL_ONES, 2, 0);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, null, 0, 0x1000, 0x61000000);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, file, 0xf000, 0x2000, 0x62000000);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, file, 0x800, 0x1000, 0x63000000);
	CALL(iommu, IOAS_MAP_FILE, 40, FIXED_RW, id, file, 0, 0x1000, 0x60000000);
	CALL(iommu, IOAS_UNMAP, 24, id, 0x60000000, 0x1000);
	CALL(iommu, IOAS_CHANGE_PROCESS, 8, 1);
	CALL(iommu, IOAS_UNMAP, 24, id, 0, ALL_ONES);
	CALL(iommu, IOAS_CHANGE_PROCESS, 8);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, id, 0, MEM, 0x1000, 0x10000);
	CALL(iommu, IOAS_CHANGE_PROCESS, 8);
	shut(file);
	shut(null);
	close_bound(b);
}

void scenario_ioas_copy(void)
{
	struct bound b = open_by_cdev(EDU);
	int iommu = b.iommu;
	uint32_t from = ioas(iommu), to = ioas(iommu);

	CALL(iommu, IOAS_MAP, 40, FIXED_RW, from, 0, MEM, 0x4000, 0x10000);
	CALL(iommu, IOAS_MAP, 40, FIXED_RW, from, 0, MEM, 0x4000, 0x14000);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_READABLE, from, 0, READONLY_MEM, 0x4000, 0x20000);
	title("checks");
	for (unsigned flags = 0; flags <= 8; flags++)
		CALL(iommu, IOAS_COPY, 40, flags, to, from, 0x1000, 0x100000 + 0x10000 * flags, 0x10000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, ALL_ONES, 0, 0);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x1000, ALL_ONES, 0);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x1000, 0, ALL_ONES);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, 99, 0x1000, 0, 0x10000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, 99, from, 0x1000, 0, 0x10000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, 99, from, 0x1000, 0, 0x99000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0, 0, 0x10000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x2000, 0, -0x1000ull);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x1000, 0, 0x18000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x2000, 0, 0xf000);
	title("copies");
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x8000, 0x200000, 0x10000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x4000, 0x300000, 0x12000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x4000, 0x300000, 0x12000);
	CALL(iommu, IOAS_COPY, 40, FIXED_RW, to, from, 0x4000, 0x400000, 0x20000);
	CALL(iommu, IOAS_COPY, 40, MAP_FIXED_IOVA | MAP_READABLE, to, from, 0x4000, 0x400000, 0x20000);
	CALL(iommu, IOAS_COPY, 40, RW, to, from, 0x123, 0, 0x10010);
	CALL(iommu, IOAS_COPY, 40, RW, from, from, 0x1000, 0, 0x10000);
	CALL(iommu, DESTROY, 8, from);
	CALL(iommu, IOAS_UNMAP, 24, to, 0x200000, 0x4000);
	CALL(iommu, IOAS_UNMAP, 24, to, 0x200000, 0x8000);
	close_bound(b);
}
