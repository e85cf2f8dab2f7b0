/* What a device does by itself: DMA, through each kind of address space. */
#include <stdio.h>
#include <string.h>

#include "edu.h"

/* Starts a transfer and waits for its end. QEMU 7.2 ends itself at one that reaches the last byte of the buffer. */
static void transfer(int device, uint64_t source, uint64_t destination, uint64_t length, unsigned command)
{
	say("dma %#llx <- %#llx, %llu bytes\n", (unsigned long long)destination, (unsigned long long)source, (unsigned long long)length);
	poke(device, SOURCE, 8, source);
	poke(device, SOURCE + 8, 8, destination);
	poke(device, SOURCE + 16, 8, length);
	poke(device, COMMAND, 8, command | 1);
	settle(device, COMMAND);
}

static void say_memory(const char *what, const void *memory)
{
	const uint8_t *bytes = memory;

	say("  %s:", what);
	for (unsigned i = 0; i < 16; i++)
		say(" %02x", bytes[i]);
	say("\n");
}

static void pattern(uint64_t address, unsigned first)
{
	uint8_t *bytes = (uint8_t *)address;

	for (unsigned i = 0; i < K4; i++)
		bytes[i] = first + i;
}

/* What the device reads at `iova`, by way of `out`, where it can write to `address`. */
static void read_back(int device, uint64_t iova, uint64_t out, uint64_t address)
{
	memset((void *)address, 0xee, 16);
	transfer(device, iova, BUFFER, 16, 0);
	transfer(device, BUFFER, out, 16, TO_MEMORY);
	say_memory("read", (void *)address);
}

/* What the device leaves at `address` when it writes what it finds at `source` to `iova`. */
static void write_to(int device, uint64_t source, uint64_t iova, uint64_t address)
{
	memset((void *)address, 0xee, 16);
	transfer(device, source, BUFFER, 16, 0);
	transfer(device, BUFFER, iova, 16, TO_MEMORY);
	say_memory("written", (void *)address);
}

void scenario_edu_dma(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, c = o.container, one = event("one");
	const uint64_t out = MEM + 0x8000;

	pattern(MEM, 0x10);
	pattern(MEM + K4, 0x50);
	memset((void *)(MEM + 2 * K4), 0, K4);
	title("type1: there and back");
	master(device, 1);
	CALL(c, MAP_DMA, 32, DMA_READ | DMA_WRITE, MEM, 0x100000, 2 * K4);
	CALL(c, MAP_DMA, 32, DMA_READ | DMA_WRITE, out, 0x200000, K4);
	read_back(device, 0x100000, 0x200000, out);
	read_back(device, 0x100123, 0x200000, out);
	title("type1: across pages of two mappings");
	CALL(c, MAP_DMA, 32, DMA_READ | DMA_WRITE, MEM + K4, 0x201000, K4);
	read_back(device, 0x200ff8, 0x200000, out);
	transfer(device, 0x100000, BUFFER, 4088, 0);
	transfer(device, BUFFER, 0x200800, 4088, TO_MEMORY);
	say_memory("first page", (void *)(out + 0x800));
	say_memory("second page", (void *)(MEM + K4));
	title("type1: with an interrupt");
	set_fd(device, IRQ_TRIGGER, 1, one);
	transfer(device, BUFFER, 0x200000, 16, TO_MEMORY | WITH_INTERRUPT);
	await(one, 1);
	say("  raised %#x\n", (unsigned)peek(device, 0, INTERRUPTS, 4));
	acknowledge(device, ALL_BITS);
	title("type1: where nothing is mapped");
	read_back(device, 0x300000, 0x200000, out);
	write_to(device, 0x100000, 0x300000, out);
	title("type1: half of it mapped");
	CALL(c, UNMAP_DMA, 24, 0, 0x201000, K4);
	read_back(device, 0x200ff8, 0x200000, out);
	memset((void *)(out + 0xff0), 0xee, 16);
	transfer(device, 0x100000, BUFFER, 16, 0);
	transfer(device, BUFFER, 0x200ff8, 16, TO_MEMORY);
	say_memory("written", (void *)(out + 0xff0));
	title("type1: read-only and write-only mappings");
	CALL(c, MAP_DMA, 32, DMA_READ, READONLY_MEM, 0x400000, K4);
	read_back(device, 0x400000, 0x200000, out);
	CALL(c, MAP_DMA, 32, DMA_READ, MEM + 2 * K4, 0x500000, K4);
	write_to(device, 0x100000, 0x500000, MEM + 2 * K4);
	CALL(c, MAP_DMA, 32, DMA_WRITE, MEM, 0x600000, K4);
	read_back(device, 0x600000, 0x200000, out);
	write_to(device, 0x101000, 0x600000, MEM);
	title("type1: addresses of more bits than it has");
	read_back(device, 0x10100000, 0x200000, out);
	read_back(device, 0xf00000100000, 0x200000, out);
	title("without bus mastering");
	master(device, 0);
	read_back(device, 0x100000, 0x200000, out);
	write_to(device, 0x100000, 0x200000, out);
	master(device, 1);
	read_back(device, 0x101000, 0x200000, out);
	title("type1: unmapped");
	CALL(c, UNMAP_DMA, 24, 0, 0x100000, 2 * K4);
	read_back(device, 0x100000, 0x200000, out);
	CALL(c, UNMAP_DMA, 24, UNMAP_ALL);
	write_to(device, 0x100000, 0x200000, out);
	close_opened(o);
}

static uint32_t address_space(int iommu)
{
	CALL(iommu, IOAS_ALLOC, 12);
	return field("out_ioas_id");
}

void scenario_edu_iommufd(void)
{
	struct bound b = open_by_cdev(EDU);
	int device = b.device, iommu = b.iommu;
	const uint64_t rw = MAP_FIXED_IOVA | MAP_WRITEABLE | MAP_READABLE, out = MEM + 0x8000;
	uint32_t first = address_space(iommu), second = address_space(iommu);

	pattern(MEM, 0x10);
	pattern(MEM + K4, 0x50);
	master(device, 1);
	title("attached to nothing");
	CALL(iommu, IOAS_MAP, 40, rw, first, 0, MEM, 2 * K4, 0x100000);
	CALL(iommu, IOAS_MAP, 40, rw, first, 0, out, K4, 0x200000);
	write_to(device, 0x100000, 0x200000, out);
	title("attached");
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, first);
	read_back(device, 0x100000, 0x200000, out);
	title("read-only and write-only");
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_READABLE, first, 0, MEM + 2 * K4, K4, 0x300000);
	write_to(device, 0x100000, 0x300000, MEM + 2 * K4);
	CALL(iommu, IOAS_MAP, 40, MAP_FIXED_IOVA | MAP_WRITEABLE, first, 0, MEM + 3 * K4, K4, 0x400000);
	write_to(device, 0x100000, 0x400000, MEM + 3 * K4);
	read_back(device, 0x400000, 0x200000, out);
	title("mapped while attached, and unmapped");
	CALL(iommu, IOAS_MAP, 40, rw, first, 0, MEM, K4, 0x500000);
	read_back(device, 0x500000, 0x200000, out);
	CALL(iommu, IOAS_UNMAP, 24, first, 0x500000, K4);
	read_back(device, 0x500000, 0x200000, out);
	title("a copy of a mapping");
	CALL(iommu, IOAS_COPY, 40, rw, second, first, K4, 0x100000, 0x101000);
	CALL(iommu, IOAS_COPY, 40, rw, second, first, K4, 0x200000, 0x200000);
	CALL(device, ATTACH_IOMMUFD_PT, 16, 0, second);
	read_back(device, 0x100000, 0x200000, out);
	CALL(iommu, IOAS_UNMAP, 24, first, 0, ALL_ONES);
	read_back(device, 0x100000, 0x200000, out);
	title("detached");
	CALL(device, DETACH_IOMMUFD_PT, 8);
	read_back(device, 0x100000, 0x200000, out);
	close_bound(b);

	title("an iommufd as container");
	int container = open_file("/dev/iommu", "container"), group = open_group(EDU, "group");

	CALL(group, SET_CONTAINER, container);
	call_value(container, &SET_IOMMU, 3);
	device = device_fd(group, EDU, "device");
	master(device, 1);
	CALL(container, MAP_DMA, 32, DMA_READ | DMA_WRITE, MEM, 0x100000, 2 * K4);
	CALL(container, MAP_DMA, 32, DMA_READ | DMA_WRITE, out, 0x200000, K4);
	read_back(device, 0x100000, 0x200000, out);
	CALL(container, UNMAP_DMA, 24, 0, 0x100000, 2 * K4);
	read_back(device, 0x100000, 0x200000, out);
	shut(device);
	shut(group);
	shut(container);
}
