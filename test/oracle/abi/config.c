/* Configuration space through its region. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

static const char *const functions[] = { EDU, TESTDEV, NVME, SWITCHED, CONVENTIONAL, SLOT0, SLOT1 };

void dump_config(int device)
{
	uint8_t line[16], zero[16] = { 0 };
	uint64_t base = region_offset(device, 7);

	for (unsigned offset = 0; offset < 4096; offset += 16) {
		if (pread(device, line, 16, base + offset) != 16)
			continue;
		if (offset >= 0x100 && !memcmp(line, zero, 16))
			continue;
		say("%03x:", offset);
		for (unsigned i = 0; i < 16; i++)
			say(" %02x", line[i]);
		say("\n");
	}
}

void scenario_config(void)
{
	for (unsigned i = 0; i < LENGTH(functions); i++) {
		title("%s", functions[i]);
		struct opened o = open_by_group(functions[i], 3);

		dump_config(o.device);
		close_opened(o);
	}
	struct opened o = open_by_group(EDU, 3);

	title("sizes, alignment and the end: conventional");
	for (unsigned length = 1; length <= 9; length++)
		read_region(o.device, 7, 3, length);
	read_region(o.device, 7, 0xfc, 4);
	read_region(o.device, 7, 0xfc, 5);
	read_region(o.device, 7, 0xff, 1);
	read_region(o.device, 7, 0xff, 2);
	read_region(o.device, 7, 0x100, 1);
	read_region(o.device, 7, 0x100, 0);
	read_region(o.device, 7, 0xffffffffff, 1);
	write_region(o.device, 7, 0x100, 1, 0);
	write_region(o.device, 7, 0xff, 2, 0);
	close_opened(o);
	title("the end: PCI Express");
	o = open_by_group(SLOT0, 3);
	read_region(o.device, 7, 0xfe, 4);
	read_region(o.device, 7, 0xffc, 4);
	read_region(o.device, 7, 0xffc, 5);
	read_region(o.device, 7, 0x1000, 1);
	close_opened(o);
}

/* Ones, zeros, and what was there before; what each left. */
static void sweep(int device, unsigned offset, unsigned length)
{
	uint64_t ones = length == 4 ? 0xffffffff : length == 2 ? 0xffff : 0xff;
	uint64_t was = peek(device, 7, offset, length), base = region_offset(device, 7), zero = 0;

	say("%03x/%u: %0*llx", offset, length, length * 2, (unsigned long long)was);
	pwrite(device, &ones, length, base + offset);
	say(" ones %0*llx", length * 2, (unsigned long long)peek(device, 7, offset, length));
	pwrite(device, &zero, length, base + offset);
	say(" zeros %0*llx", length * 2, (unsigned long long)peek(device, 7, offset, length));
	pwrite(device, &was, length, base + offset);
	say(" back %0*llx\n", length * 2, (unsigned long long)peek(device, 7, offset, length));
}

static unsigned capability(int device, unsigned id)
{
	unsigned at = peek(device, 7, 0x34, 1);

	for (unsigned steps = 0; at && steps < 48; steps++, at = peek(device, 7, at + 1, 1))
		if (peek(device, 7, at, 1) == id)
			return at;
	return 0;
}

void sweep_config(int device, const char *bdf)
{
	title("%s: header", bdf);
	for (unsigned offset = 0; offset < 0x40; offset += 4)
		sweep(device, offset, 4);
	for (unsigned offset = 4; offset < 8; offset += 2)
		sweep(device, offset, 2);
	for (unsigned offset = 4; offset < 0x40; offset += offset == 0x17 ? 0x25 : 1)
		sweep(device, offset, 1);
	for (unsigned id = 0; id < 0x20; id++) {
		unsigned at = capability(device, id);

		if (!at)
			continue;
		title("%s: capability %#x", bdf, id);
		/* Power states and resets by themselves are another matter. */
		for (unsigned offset = 0; offset < (id == 0x10 ? 0x3c : id == 0x05 ? 0x18 : 0xc); offset += 4)
			if (!(id == 0x01 && offset == 4) && !(id == 0x10 && offset == 8))
				sweep(device, at + offset, 4);
		for (unsigned offset = 0; offset < 4; offset++)
			sweep(device, at + offset, 1);
	}
	title("%s: extended", bdf);
	for (unsigned at = 0x100, steps = 0; at && steps < 16; steps++) {
		uint32_t header = peek(device, 7, at, 4);

		if (!header || header == 0xffffffff)
			break;
		say("capability %#x version %u at %#x\n", header & 0xffff, header >> 16 & 15, at);
		for (unsigned offset = 0; offset < 0x2c; offset += 4)
			sweep(device, at + offset, 4);
		at = header >> 20;
	}
}

static void power_states(const char *bdf)
{
	struct opened o = open_by_group(bdf, 3);
	unsigned at = capability(o.device, 1);

	title("%s: power states by PMCSR", bdf);
	for (unsigned state = 0; at && state < 4; state++) {
		write_region(o.device, 7, at + 4, 2, state);
		read_region(o.device, 7, at + 4, 2);
		uint32_t word;

		say("device.pread( BAR0 4 )");
		result(pread(o.device, &word, 4, region_offset(o.device, 0)));
	}
	write_region(o.device, 7, at + 4, 2, 0);
	read_region(o.device, 7, at + 4, 2);
	write_region(o.device, 7, at + 5, 1, 0x81);
	read_region(o.device, 7, at + 4, 2);
	close_opened(o);
}

void scenario_config_writes(void)
{
	for (unsigned i = 0; i < LENGTH(functions); i++) {
		struct opened o = open_by_group(functions[i], 3);

		sweep_config(o.device, functions[i]);
		close_opened(o);
	}
	power_states(SLOT0);
	power_states(NVME);
	title("BARs again after a reset");
	struct opened o = open_by_group(NVME, 3);

	read_region(o.device, 7, 0x10, 8);
	write_region(o.device, 7, 0x10, 8, 0x11223344aabbccdd);
	read_region(o.device, 7, 0x10, 8);
	call_value(o.device, &RESET, 0);
	read_region(o.device, 7, 0x10, 8);
	title("FLR by its bit");
	unsigned at = capability(o.device, 0x10);

	write_region(o.device, 7, 4, 2, 6);
	write_region(o.device, 7, at + 8, 2, 0x8000);
	read_region(o.device, 7, at + 8, 2);
	read_region(o.device, 7, 4, 2);
	close_opened(o);
}
