/* Type1 mappings: every row of the tables of MAP_DMA, UNMAP_DMA and DIRTY_PAGES. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "scenarios.h"

#define K4 0x1000ull
#define RW (DMA_READ | DMA_WRITE)

static void unmap_dma(int container, uint64_t iova, uint64_t size)
{
	CALL(container, UNMAP_DMA, 24, 0, iova, size);
}

void scenario_map(void)
{
	struct opened o = open_by_group(EDU, 3);
	int c = o.container;

	title("the structure");
	for (unsigned accessible = 31; accessible <= 32; accessible++) {
		room(accessible);
		CALL(c, MAP_DMA, 32, RW, MEM, 0, K4);
	}
	unmap_dma(c, 0, K4);
	CALL(c, MAP_DMA, 31, RW, MEM, 0, K4);
	CALL(c, MAP_DMA, 0, 8, MEM, 0, 0);
	CALL(c, MAP_DMA, 4096, RW, MEM, 0, K4);
	unmap_dma(c, 0, K4);
	title("flags");
	for (unsigned flags = 0; flags <= 9; flags++) {
		CALL(c, MAP_DMA, 32, flags, MEM, 0x100000 + flags * K4, K4);
	}
	CALL(c, MAP_DMA, 32, 0x80000003, MEM, 0, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	title("size, wrap and alignment, in their order");
	CALL(c, MAP_DMA, 32, 0, MEM + 1, 1, 0);
	CALL(c, MAP_DMA, 32, 0, MEM + 1, ALL_ONES, 2);
	CALL(c, MAP_DMA, 32, 0, ALL_ONES, 1, 2);
	CALL(c, MAP_DMA, 32, 0, MEM, 0, 1);
	CALL(c, MAP_DMA, 32, RW, MEM, 0, 1);
	CALL(c, MAP_DMA, 32, RW, MEM, 0, K4 + 1);
	CALL(c, MAP_DMA, 32, RW, MEM, 1, K4);
	CALL(c, MAP_DMA, 32, RW, MEM + 1, 0, K4);
	CALL(c, MAP_DMA, 32, RW, MEM + 0x800, 0x800, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x7ffffffffffff000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, -K4, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, -K4, 2 * K4);
	CALL(c, MAP_DMA, 32, RW, -K4, 0, K4);
	CALL(c, MAP_DMA, 32, RW, -K4, 0, 2 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0, ALL_ONES - 0xfff);
	title("overlap");
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x13000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xf000, 2 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0, 0x100000);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x13001, K4);
	CALL(c, MAP_DMA, 32, RW, NOWHERE, 0x13000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xf000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x14000, K4);
	title("the window");
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfedff000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfee00000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfee0f000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfeeff000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfef00000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfedfe000, 2 * K4);
	for (unsigned width = 38; width <= 57; width++)
		CALL(c, MAP_DMA, 32, RW, MEM, (1ull << width) - K4, K4);
	title("memory");
	CALL(c, MAP_DMA, 32, DMA_READ, NOWHERE, 0x1000000, K4);
	CALL(c, MAP_DMA, 32, DMA_READ, READONLY_MEM, 0x1000000, K4);
	CALL(c, MAP_DMA, 32, DMA_WRITE, READONLY_MEM, 0x2000000, K4);
	CALL(c, MAP_DMA, 32, DMA_READ, 0, 0x2000000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM + MEM_SIZE - K4, 0x2000000, 2 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM + MEM_SIZE - K4, 0x2000000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x40000000, MEM_SIZE);
	title("device memory");
	void *bar = map_region(o.device, 0, 0, 0x1000, 0);

	say("map the BAR for DMA:");
	quiet(1);
	long mapped = CALL(c, MAP_DMA, 32, RW, (uint64_t)bar, 0x3000000, K4);
	quiet(0);
	result(mapped);
	unmap_dma(c, 0x3000000, K4);
	unmap(bar, 0x1000);
	close_opened(o);

	title("the limit");
	const char *limit = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";

	set_sysfs(limit, "100\n");
	o = open_by_group(EDU, 3);
	set_sysfs(limit, "65535\n");
	quiet(1);
	for (unsigned i = 0; i < 99; i++)
		CALL(o.container, MAP_DMA, 32, RW, MEM, i * 2 * K4, K4);
	quiet(0);
	c = o.container;
	CALL(c, IOMMU_GET_INFO, 120);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x40000000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x50000000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0xfee00000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, IOMMU_GET_INFO, 120);
	close_opened(o);
}

static void unmap_both(unsigned type)
{
	struct opened o = open_by_group(EDU, type);
	int c = o.container;

	title("type %u: the structure", type);
	room(23);
	unmap_dma(c, 0, K4);
	CALL(c, UNMAP_DMA, 23, 0, 0, K4);
	CALL(c, UNMAP_DMA, 24, 8, 0, K4);
	CALL(c, UNMAP_DMA, 4096, 0, 0, K4);
	title("type %u: alignment and wrap", type);
	unmap_dma(c, 0, 0);
	unmap_dma(c, 1, 0);
	unmap_dma(c, 1, K4);
	unmap_dma(c, 0, 1);
	unmap_dma(c, -K4, K4);
	unmap_dma(c, -K4, 2 * K4);
	unmap_dma(c, 0, -K4);
	title("type %u: whole, part, several, none", type);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x15000, K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x16000, 2 * K4);
	unmap_dma(c, 0, K4);
	unmap_dma(c, 0x11000, K4);
	unmap_dma(c, 0x11000, 0x100000);
	unmap_dma(c, 0x13000, K4);
	unmap_dma(c, 0xf000, 2 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	unmap_dma(c, 0x10000, 3 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	unmap_dma(c, 0x10000, 4 * K4);
	unmap_dma(c, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	unmap_dma(c, 0, 0x100000);
	title("type %u: all", type);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x15000, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL, 0, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL, K4, 0);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL, 1, 0);
	room(24);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	title("type %u: with a bitmap", type);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	for (unsigned flags = 0; flags < 8; flags++)
		CALL(c, UNMAP_DMA_BITMAP, 24, flags | UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 47, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	room(47);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 7, MEM + 0x8000);
	CALL(c, DIRTY_PAGES, 8, 1);
	for (unsigned size = 0; size <= 16; size += 4)
		CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, K4, K4, size, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, 0, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, 0x800, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, 0x2000, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 0x10000001, MEM + 0x8000);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, ALL_ONES);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, NOWHERE);
	memset((void *)(MEM + 0x8000), 0, 16);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	say("bitmap %016llx\n", *(unsigned long long *)(MEM + 0x8000));
	close_opened(o);
}

void scenario_unmap(void)
{
	unmap_both(3);
	unmap_both(1);
}

void scenario_vaddr(void)
{
	struct opened o = open_by_group(EDU, 3);
	int c = o.container;

	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x20000, 4 * K4);
	title("renew what was not invalidated");
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x30000, K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR | RW, MEM, 0x10000, 4 * K4);
	title("invalidate");
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR, 0x11000, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR, 0x30000, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR, 0x10000, 4 * K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR, 0x10000, 4 * K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR | UNMAP_ALL);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR, 0x20000, 4 * K4);
	int second = open_group(TESTDEV, "second");

	CALL(second, SET_CONTAINER, c);
	title("renew");
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x10000, K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x11000, 3 * K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x10000, 5 * K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM + 1, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM + 0x4000, 0x10000, 4 * K4);
	CALL(c, MAP_DMA, 32, DMA_VADDR, MEM, 0x10000, 4 * K4);
	CALL(second, SET_CONTAINER, c);
	unmap_dma(c, 0x20000, 4 * K4);
	CALL(second, SET_CONTAINER, c);
	CALL(second, GET_STATUS, 8);
	shut(second);
	title("all");
	CALL(c, MAP_DMA, 32, RW, MEM, 0x20000, 4 * K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_VADDR | UNMAP_ALL);
	CALL(c, IOMMU_GET_INFO, 120);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	close_opened(o);
}

static void bitmap(int c, uint64_t iova, uint64_t size, uint64_t page, uint64_t bytes, uint64_t data)
{
	memset((void *)(MEM + 0x8000), 0, 64);
	CALL(c, DIRTY_PAGES, 48, 4, iova, size, page, bytes, data);
	say("  bitmap %016llx %016llx\n", *(unsigned long long *)(MEM + 0x8000), *(unsigned long long *)(MEM + 0x8008));
}

static void say_words(unsigned count)
{
	const unsigned long long *words = (const unsigned long long *)(MEM + 0x8000);

	say("  words");
	for (unsigned i = 0; i < count; i++)
		say(" %016llx", words[i]);
	say("\n");
}

/* Of pages of 4 KiB, onto memory of a pattern. */
static void dirty_bitmap(int c, uint64_t iova, uint64_t size, int before)
{
	uint64_t bytes = (size / K4 + 63) / 64 * 8;

	memset((void *)(MEM + 0x8000), before, 0x1000);
	CALL(c, DIRTY_PAGES, 48, 4, iova, size, K4, bytes, MEM + 0x8000);
	say_words(bytes / 8 + 1);
}

void scenario_dirty(void)
{
	struct opened o = open_by_group(EDU, 1);

	title("type1 has none");
	CALL(o.container, DIRTY_PAGES, 8, 1);
	call_value(o.container, &DIRTY_PAGES, NOWHERE);
	close_opened(o);
	o = open_by_group(EDU, 3);
	int c = o.container;

	title("the structure");
	call_value(c, &DIRTY_PAGES, NOWHERE);
	CALL(c, DIRTY_PAGES, 7, 1);
	for (unsigned flags = 0; flags <= 8; flags++)
		CALL(c, DIRTY_PAGES, 8, flags);
	CALL(c, DIRTY_PAGES, 8, 2);
	CALL(c, DIRTY_PAGES, 8, 2);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	title("not started");
	bitmap(c, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 0, K4, 8, MEM + 0x8000);
	title("started");
	CALL(c, DIRTY_PAGES, 8, 1);
	CALL(c, DIRTY_PAGES, 8, 1);
	CALL(c, DIRTY_PAGES, 47, 4, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	room(47);
	CALL(c, DIRTY_PAGES, 48, 4, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 0, K4, 8, MEM + 0x8000);
	bitmap(c, -K4, 2 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 0, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 4, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 16, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 0x10000001, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, 0x2000, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, 0, 8, MEM + 0x8000);
	bitmap(c, 0x10800, 4 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 0x800, K4, 8, MEM + 0x8000);
	bitmap(c, 0x11000, 3 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 3 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 8, NOWHERE);
	bitmap(c, 0x10000, 4 * K4, K4, 8, ALL_ONES);
	bitmap(c, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	bitmap(c, 0x10000, 4 * K4, K4, 8, MEM + 0x8000);
	CALL(c, MAP_DMA, 32, DMA_READ, MEM, 0x16000, K4);
	bitmap(c, 0x8000, 0x10000, K4, 8, MEM + 0x8000);
	bitmap(c, 0x100000, 0x10000, K4, 8, MEM + 0x8000);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	title("what stands in the bitmap before");
	CALL(c, MAP_DMA, 32, RW, MEM, 0x10000, 4 * K4);
	dirty_bitmap(c, 0x10000, 0x40 * K4, 0xa5);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x16000, 2 * K4);
	dirty_bitmap(c, 0x10000, 0x40 * K4, 0xa5);
	dirty_bitmap(c, 0x16000, 0x40 * K4, 0);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x6000, 0x100 * K4);
	dirty_bitmap(c, 0, 0x200 * K4, 0xa5);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x6000, 0x7a * K4);
	dirty_bitmap(c, 0, 0x100 * K4, 0xa5);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	CALL(c, MAP_DMA, 32, RW, MEM, 0x6000, 3 * K4);
	memset((void *)(MEM + 0x8000), 0xa5, 64);
	CALL(c, UNMAP_DMA_BITMAP, 48, UNMAP_BITMAP, 0, 0x80000, K4, 16, MEM + 0x8000);
	say_words(2);
	title("none left");
	bitmap(c, 0, 0x80000, K4, 16, MEM + 0x8000);
	CALL(c, DIRTY_PAGES, 8, 2);
	bitmap(c, 0, 0x80000, K4, 16, MEM + 0x8000);
	close_opened(o);
}
