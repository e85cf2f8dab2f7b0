/*
 * What a load and a store through a mapped BAR cost, against the same loop on plain shared memory:
 *
 *   bar-memory DIRECTORY GROUP BDF            …/dev/vfio 5 0000:00:04.0
 *
 * Uses the first region that can be mapped, or its first mappable area, and stores what was there. Prints "bar LOAD STORE" and
 * "memory LOAD STORE", in picoseconds per access: medians of interleaved rounds.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "timing.h"
#include "vfio-device.h"

enum { ROUNDS = 31, SWEEPS = 2000, WORDS = 4096 / sizeof(uint32_t) };

struct costs {
	uint64_t load[ROUNDS], store[ROUNDS];
};

static const struct vfio_region_info_cap_sparse_mmap *sparse_areas(const struct vfio_region_info *region)
{
	uint32_t at = region->flags & VFIO_REGION_INFO_FLAG_CAPS ? region->cap_offset : 0;

	while (at) {
		const struct vfio_info_cap_header *header = (const void *)((const char *)region + at);

		if (header->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			return (const void *)header;
		at = header->next;
	}
	return NULL;
}

static uint32_t *map_page(int device)
{
	static union {
		struct vfio_region_info info;
		char room[4096];
	} region;

	for (uint32_t index = VFIO_PCI_BAR0_REGION_INDEX; index <= VFIO_PCI_BAR5_REGION_INDEX; index++) {
		const struct vfio_region_info_cap_sparse_mmap *sparse;
		uint64_t offset;
		void *page;

		region.info = (struct vfio_region_info){ .argsz = sizeof region, .index = index };
		must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region), "VFIO_DEVICE_GET_REGION_INFO");
		if (!(region.info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		sparse = sparse_areas(&region.info);
		if (sparse && !sparse->nr_areas)
			continue;
		offset = region.info.offset + (sparse ? sparse->areas[0].offset : 0);
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, offset);
		if (page != MAP_FAILED)
			return page;
		must(-1, "mmap");
	}
	fprintf(stderr, "no region of this device can be mapped\n");
	exit(1);
}

static void measure(volatile uint32_t *page, struct costs *costs, int round)
{
	uint32_t before[WORDS];
	uint64_t start = now_ns();

	for (int sweep = 0; sweep < SWEEPS; sweep++)
		for (size_t i = 0; i < WORDS; i++)
			before[i] = page[i];
	costs->load[round] = (now_ns() - start) * 1000 / (SWEEPS * WORDS);
	start = now_ns();
	for (int sweep = 0; sweep < SWEEPS; sweep++)
		for (size_t i = 0; i < WORDS; i++)
			page[i] = before[i];
	costs->store[round] = (now_ns() - start) * 1000 / (SWEEPS * WORDS);
}

static void report(const char *what, struct costs *costs)
{
	printf("%s %" PRIu64 " %" PRIu64 "\n", what, percentile(costs->load, ROUNDS, 50),
	       percentile(costs->store, ROUNDS, 50));
}

int main(int argc, char **argv)
{
	static struct costs bar, memory;
	uint32_t *mapped, *plain;

	if (argc != 4) {
		fprintf(stderr, "usage: bar-memory DIRECTORY GROUP BDF\n");
		return 2;
	}
	mapped = map_page(open_device(argv[1], argv[2], argv[3], NULL));
	plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (plain == MAP_FAILED)
		must(-1, "mmap");
	memcpy(plain, mapped, 4096);
	for (int round = 0; round < ROUNDS; round++) {
		measure(mapped, &bar, round);
		measure(plain, &memory, round);
	}
	report("bar", &bar);
	report("memory", &memory);
	return 0;
}
