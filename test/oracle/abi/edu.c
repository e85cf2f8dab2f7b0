/* What a device does by itself: interrupts that it raises, and DMA through each kind of address space. QEMU's edu (docs/specs/edu.rst). */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

#define STATUS 0x20
#define INTERRUPTS 0x24
#define RAISE 0x60
#define ACKNOWLEDGE 0x64
#define SOURCE 0x80
#define COMMAND 0x98
#define BUFFER 0x40000
#define TO_MEMORY 2
#define WITH_INTERRUPT 4
#define K4 0x1000ull
#define ALL_BITS 0xffffffff

static void set_irqs(int device, unsigned flags, unsigned index, unsigned count)
{
	CALL(device, SET_IRQS, 20, flags, index, 0, count);
}

static void set_fd(int device, unsigned action, unsigned index, int fd)
{
	tail_fds(1, &fd);
	CALL(device, SET_IRQS, 24, action | IRQ_EVENTFD, index, 0, 1);
}

static void poke(int device, uint64_t offset, unsigned length, uint64_t value)
{
	if (pwrite(device, &value, length, region_offset(device, 0) + offset) != (ssize_t)length)
		say("not written\n");
}

static void raise_bits(int device, uint32_t bits)
{
	say("raise %#x\n", bits);
	poke(device, RAISE, 4, bits);
}

static void acknowledge(int device, uint32_t bits)
{
	say("acknowledge %#x\n", bits);
	poke(device, ACKNOWLEDGE, 4, bits);
}

/* Waits for a signal that is to come; and long enough to be sure where none is. */
static void await(int fd, int expected)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	poll(&one, 1, expected ? 5000 : 100);
	count(fd);
}

static void say_state(int device)
{
	say("  raised %#x, status bit %u, disable bit %u\n", (unsigned)peek(device, 0, INTERRUPTS, 4),
	    (unsigned)(peek(device, 7, 6, 2) >> 3 & 1), (unsigned)(peek(device, 7, 4, 2) >> 10 & 1));
}

static void settle(int device, uint64_t offset)
{
	for (unsigned i = 0; i < 5000 && peek(device, 0, offset, 4) & 1; i++)
		usleep(1000);
}

void scenario_edu(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, one = event("one");

	title("registers");
	for (unsigned offset = 0; offset < 0x2c; offset += 4)
		read_region(device, 0, offset, 4);
	for (unsigned offset = 0x80; offset < 0xb0; offset += 8)
		read_region(device, 0, offset, 8);
	write_region(device, 0, 0, 4, 0);
	write_region(device, 0, 0, 8, 0x1122334455667788);
	write_region(device, 0, 4, 2, 0x1122);
	write_region(device, 0, INTERRUPTS, 4, 1);
	write_region(device, 0, SOURCE, 8, 0x1122334455667788);
	write_region(device, 0, SOURCE + 4, 4, 0);
	read_region(device, 0, SOURCE, 8);
	write_region(device, 0, SOURCE, 4, 0x99aabbcc);
	write_region(device, 0, COMMAND, 8, TO_MEMORY | WITH_INTERRUPT);
	for (unsigned offset = 0; offset < 0x2c; offset += 4)
		read_region(device, 0, offset, 4);
	read_region(device, 0, SOURCE, 8);
	read_region(device, 0, COMMAND, 8);
	title("factorials");
	static const uint32_t numbers[] = { 0, 1, 2, 10, 13, 33, 34, 1000 };

	for (unsigned i = 0; i < LENGTH(numbers); i++) {
		write_region(device, 0, 8, 4, numbers[i]);
		settle(device, STATUS);
		read_region(device, 0, 8, 4);
	}
	say_state(device);
	title("a factorial that interrupts");
	set_fd(device, IRQ_TRIGGER, 0, one);
	write_region(device, 0, STATUS, 4, ALL_ONES);
	write_region(device, 0, 8, 4, 5);
	await(one, 1);
	read_region(device, 0, STATUS, 4);
	say_state(device);
	acknowledge(device, 1);
	write_region(device, 0, STATUS, 4, 0);
	read_region(device, 0, STATUS, 4);
	close_opened(o);
}

void scenario_edu_intx(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, one = event("one"), two = event("two"), unmask = event("unmask"), none = -1;

	title("raised before there is a handler");
	raise_bits(device, 1);
	say_state(device);
	set_fd(device, IRQ_TRIGGER, 0, one);
	await(one, 1);
	say_state(device);
	title("a second reason while it is masked");
	raise_bits(device, 2);
	await(one, 0);
	say_state(device);
	title("unmasked with one reason left");
	acknowledge(device, 1);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 1);
	say_state(device);
	title("unmasked with none left");
	acknowledge(device, 2);
	say_state(device);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 0);
	say_state(device);
	raise_bits(device, 4);
	await(one, 1);
	acknowledge(device, 4);
	title("unmasked by eventfd");
	set_fd(device, IRQ_UNMASK, 0, unmask);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t add = 1;

		if (write(unmask, &add, 8) != 8)
			say("not written\n");
		usleep(50000);
		say_state(device);
		raise_bits(device, 1);
		await(one, 1);
		say_state(device);
		if (write(unmask, &add, 8) != 8)
			say("not written\n");
		await(one, 1);
		acknowledge(device, 1);
	}
	set_fd(device, IRQ_UNMASK, 0, none);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	title("masked by the client");
	set_irqs(device, IRQ_MASK | IRQ_NONE, 0, 1);
	say_state(device);
	raise_bits(device, 1);
	await(one, 0);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 1);
	acknowledge(device, 1);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	title("gone before it is unmasked");
	set_irqs(device, IRQ_MASK | IRQ_NONE, 0, 1);
	raise_bits(device, 1);
	acknowledge(device, 1);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 0);
	title("the disable bit");
	write_region(device, 7, 4, 2, 0x402);
	raise_bits(device, 1);
	await(one, 0);
	say_state(device);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 0);
	write_region(device, 7, 4, 2, 0x002);
	await(one, 1);
	say_state(device);
	acknowledge(device, 1);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	title("another eventfd, and none, while it is raised");
	raise_bits(device, 1);
	await(one, 1);
	set_fd(device, IRQ_TRIGGER, 0, two);
	await(two, 0);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(two, 1);
	set_fd(device, IRQ_TRIGGER, 0, none);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	set_fd(device, IRQ_TRIGGER, 0, one);
	await(one, 0);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	await(one, 1);
	title("off and on while it is raised");
	set_irqs(device, IRQ_TRIGGER | IRQ_NONE, 0, 0);
	say_state(device);
	set_fd(device, IRQ_TRIGGER, 0, two);
	await(two, 1);
	await(one, 0);
	say_state(device);
	acknowledge(device, ALL_BITS);
	set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
	say_state(device);
	title("another client, while it is raised");
	raise_bits(device, 1);
	await(two, 1);
	close_opened(o);
	o = open_by_group(EDU, 3);
	say_state(o.device);
	set_fd(o.device, IRQ_TRIGGER, 0, one);
	await(one, 1);
	acknowledge(o.device, 1);
	close_opened(o);
}

static void master(int device, int on)
{
	uint16_t command = on ? 6 : 2;

	if (pwrite(device, &command, 2, region_offset(device, 7) + 4) != 2)
		say("not written\n");
}

void scenario_edu_msi(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, one = event("one"), two = event("two");

	title("each raise is a message");
	master(device, 1);
	set_fd(device, IRQ_TRIGGER, 1, one);
	for (unsigned i = 0; i < 3; i++) {
		raise_bits(device, 1 << (i & 1));
		await(one, 1);
		say_state(device);
	}
	acknowledge(device, 1);
	await(one, 0);
	say_state(device);
	raise_bits(device, 0);
	await(one, 1);
	acknowledge(device, ALL_BITS);
	raise_bits(device, 0);
	await(one, 0);
	title("without bus mastering");
	master(device, 0);
	raise_bits(device, 1);
	await(one, 0);
	master(device, 1);
	await(one, 0);
	raise_bits(device, 1);
	await(one, 1);
	title("another eventfd");
	set_fd(device, IRQ_TRIGGER, 1, two);
	raise_bits(device, 1);
	await(two, 1);
	await(one, 0);
	title("off: the line is up for nobody; on again");
	acknowledge(device, ALL_BITS);
	set_irqs(device, IRQ_TRIGGER | IRQ_NONE, 1, 0);
	raise_bits(device, 1);
	await(two, 0);
	say_state(device);
	acknowledge(device, 1);
	say_state(device);
	set_fd(device, IRQ_TRIGGER, 1, one);
	raise_bits(device, 1);
	await(one, 1);
	acknowledge(device, 1);
	close_opened(o);
}

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
