/* A mapped BAR as memory for DMA: type1 looks its pages up, iommufd pins RAM only. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "edu.h"

/* Right behind RAM, so that one range can be of both. */
#define BAR (MEM + MEM_SIZE)
#define BAR_SIZE 0x4000ull
#define BOTH DMA_READ | DMA_WRITE

static void map_bar(int device, int protection)
{
	void *address = mmap((void *)BAR, BAR_SIZE, protection, MAP_SHARED | MAP_FIXED, device, region_offset(device, 0));

	say("device.mmap( BAR0%s ) = %s\n", protection & PROT_WRITE ? "" : " for reading",
	    address == MAP_FAILED ? strerrorname_np(errno) : "mapped");
}

static void by_type1(unsigned type)
{
	struct opened o = open_by_group(EDU, type);
	int c = o.container;

	title("type %u", type);
	map_bar(o.device, PROT_READ | PROT_WRITE);
	CALL(c, MAP_DMA, 32, BOTH, BAR, 0x100000, BAR_SIZE);
	CALL(c, MAP_DMA, 32, BOTH, BAR + K4, 0x200000, K4);
	CALL(c, MAP_DMA, 32, DMA_READ, BAR, 0x300000, K4);
	CALL(c, UNMAP_DMA, 24, 0, 0x100000, BAR_SIZE);
	title("type %u: of both kinds", type);
	CALL(c, MAP_DMA, 32, BOTH, BAR - K4, 0x400000, 2 * K4);
	CALL(c, MAP_DMA, 32, BOTH, BAR + BAR_SIZE - K4, 0x500000, 2 * K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	title("type %u: mapped for reading", type);
	map_bar(o.device, PROT_READ);
	CALL(c, MAP_DMA, 32, DMA_READ, BAR, 0x100000, K4);
	CALL(c, MAP_DMA, 32, BOTH, BAR, 0x200000, K4);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	unmap((void *)BAR, BAR_SIZE);
	CALL(c, MAP_DMA, 32, DMA_READ, BAR, 0x100000, K4);
	close_opened(o);
}

static void by_iommufd(void)
{
	struct bound b = open_by_cdev(EDU);
	const uint64_t rw = MAP_FIXED_IOVA | MAP_WRITEABLE | MAP_READABLE;
	int iommu = b.iommu;

	title("iommufd: without a page table nothing is pinned");
	map_bar(b.device, PROT_READ | PROT_WRITE);
	CALL(iommu, IOAS_ALLOC, 12);
	uint64_t ioas = field("out_ioas_id");

	CALL(iommu, IOAS_MAP, 40, rw, ioas, 0, MEM, K4, 0x100000);
	CALL(iommu, IOAS_MAP, 40, rw, ioas, 0, BAR, K4, 0x200000);
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, ioas);
	CALL(iommu, IOAS_UNMAP, 24, ioas, 0x200000, K4);
	CALL(b.device, ATTACH_IOMMUFD_PT, 16, 0, ioas);
	title("iommufd: attached");
	CALL(iommu, IOAS_MAP, 40, rw, ioas, 0, BAR, BAR_SIZE, 0x200000);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_READABLE, ioas, 0, BAR, K4, 0x200000);
	CALL(iommu, IOAS_MAP, 40, rw, ioas, 0, BAR - K4, 2 * K4, 0x200000);
	CALL(iommu, IOAS_MAP, 40, rw, ioas, 0, MEM + K4, K4, 0x200000);
	CALL(iommu, IOAS_UNMAP, 24, ioas, 0, ALL_ONES);
	unmap((void *)BAR, BAR_SIZE);
	close_bound(b);
}

static void by_compat(void)
{
	title("an iommufd as container");
	int container = open_file("/dev/iommu", "container"), group = open_group(EDU, "group");

	CALL(group, SET_CONTAINER, container);
	call_value(container, &SET_IOMMU, 3);
	int device = device_fd(group, EDU, "device");

	map_bar(device, PROT_READ | PROT_WRITE);
	CALL(container, MAP_DMA, 32, BOTH, BAR, 0x100000, K4);
	CALL(container, MAP_DMA, 32, BOTH, BAR - K4, 0x100000, 2 * K4);
	CALL(container, MAP_DMA, 32, BOTH, MEM, 0x100000, K4);
	unmap((void *)BAR, BAR_SIZE);
	shut(device);
	shut(group);
	shut(container);
}

void scenario_bar_memory(void)
{
	by_type1(1);
	by_type1(3);
	by_iommufd();
	by_compat();
}
