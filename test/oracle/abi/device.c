/* What a device says of itself, and its files' regions. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

static const char *const functions[] = { EDU, TESTDEV, NVME, SWITCHED, CONVENTIONAL, SLOT0, SLOT1 };

static void sizes_of_info(int device)
{
	static const unsigned sizes[] = { 0, 15, 16, 20, 23, 24, 32, 4096 };

	for (unsigned i = 0; i < LENGTH(sizes); i++)
		CALL(device, GET_INFO, sizes[i]);
	CALL(device, GET_INFO, 24, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES, ALL_ONES);
	room(15);
	CALL(device, GET_INFO, 16);
	room(16);
	CALL(device, GET_INFO, 16);
	room(20);
	CALL(device, GET_INFO, 24);
}

static void regions_of(int device)
{
	for (unsigned index = 0; index <= 10; index++) {
		CALL(device, GET_REGION_INFO, 32, 0, index, 77);
		CALL(device, GET_REGION_INFO, 40, 0, index, 77);
	}
}

void scenario_info(void)
{
	for (unsigned i = 0; i < LENGTH(functions); i++) {
		title("%s", functions[i]);
		struct opened o = open_by_group(functions[i], 3);

		CALL(o.device, GET_INFO, 24);
		regions_of(o.device);
		for (unsigned index = 0; index <= 6; index++)
			CALL(o.device, GET_IRQ_INFO, 16, 0, index);
		if (!i) {
			title("structures");
			sizes_of_info(o.device);
			for (unsigned size = 0; size <= 48; size += 8)
				CALL(o.device, GET_REGION_INFO, size, ALL_ONES, 0, ALL_ONES, ALL_ONES, ALL_ONES);
			CALL(o.device, GET_REGION_INFO, 31, 0, 99);
			CALL(o.device, GET_REGION_INFO, 32, 0, ALL_ONES);
			room(31);
			CALL(o.device, GET_REGION_INFO, 32, 0, 0);
			room(32);
			CALL(o.device, GET_REGION_INFO, 32, 0, 0);
			for (unsigned size = 12; size <= 20; size++)
				CALL(o.device, GET_IRQ_INFO, size, ALL_ONES, 0, ALL_ONES);
			CALL(o.device, GET_IRQ_INFO, 16, 0, ALL_ONES);
			room(15);
			CALL(o.device, GET_IRQ_INFO, 16, 0, 0);
			room(16);
			CALL(o.device, GET_IRQ_INFO, 16, 0, 0);
		}
		close_opened(o);
	}
	title("a BAR with an MSI-X table");
	struct opened o = open_by_group(SLOT0, 3);

	for (unsigned size = 32; size <= 48; size += 4)
		CALL(o.device, GET_REGION_INFO, size, 0, 3, 77);
	room(32);
	CALL(o.device, GET_REGION_INFO, 40, 0, 3, 77);
	close_opened(o);
}

void scenario_access(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device;

	title("edu: registers");
	read_region(device, 0, 0, 4);
	write_region(device, 0, 4, 4, 0x12345678);
	read_region(device, 0, 4, 4);
	title("edu: ends and offsets");
	read_region(device, 0, 0xffffc, 4);
	read_region(device, 0, 0xffffc, 8);
	read_region(device, 0, 0x100000, 4);
	read_region(device, 0, 0x100000, 0);
	read_region(device, 0, 0xffffffffff, 1);
	write_region(device, 0, 0x100000, 4, 0);
	for (unsigned index = 1; index <= 8; index++) {
		read_region(device, index, 0, 4);
		read_region(device, index, 0, 0);
		write_region(device, index, 0, 4, 0);
	}
	read_at(device, 9ull << 40, 4);
	read_at(device, 9ull << 40, 0);
	read_at(device, 0x7fffffffffffff00, 4);
	write_at(device, 9ull << 40, 4, 0);
	write_at(device, 0x7fffffffffffff00, 4, 0);
	say("device.pread( BAR0 4 ) into nowhere");
	result(pread(device, (void *)NOWHERE, 4, region_offset(device, 0)));
	say("device.pwrite( BAR0 4 ) from nowhere");
	result(pwrite(device, (void *)NOWHERE, 4, region_offset(device, 0)));
	say("device.pread( CONFIG 4 ) into nowhere");
	result(pread(device, (void *)NOWHERE, 4, region_offset(device, 7)));
	say("device.pwrite( CONFIG 4 ) from nowhere");
	result(pwrite(device, (void *)NOWHERE, 4, region_offset(device, 7)));
	title("the file position");
	uint32_t word;

	say("device.read( 4 )");
	result(read(device, &word, 4));
	say("device.lseek( 0, current )");
	result(lseek(device, 0, SEEK_CUR));
	title("memory decode off");
	write_region(device, 7, 4, 2, 0);
	read_region(device, 7, 4, 2);
	read_region(device, 0, 0, 4);
	read_region(device, 0, 0, 0);
	read_region(device, 0, 0x100000, 4);
	write_region(device, 0, 4, 4, 0);
	write_region(device, 7, 4, 2, 2);
	read_region(device, 0, 0, 4);
	close_opened(o);

	title("pci-testdev: an I/O BAR, and 64 bits");
	o = open_by_group(TESTDEV, 3);
	device = o.device;
	for (unsigned index = 0; index < 4; index++)
		for (unsigned length = 1; length <= 8; length *= 2) {
			say("device.pread( BAR%u %u )", index, length);
			uint64_t bytes;

			result(pread(device, &bytes, length, region_offset(device, index)));
		}
	say("device.pread( BAR1 ) past its end");
	char many[0x200];

	result(pread(device, many, sizeof(many), region_offset(device, 1) + 0x80));
	write_region(device, 7, 4, 2, 0);
	say("device.pread( BAR1 ) with decode off");
	result(pread(device, many, 4, region_offset(device, 1)));
	say("device.pread( BAR2 ) with decode off");
	result(pread(device, many, 4, region_offset(device, 2)));
	close_opened(o);

	title("the MSI-X table reads as ones");
	o = open_by_group(SLOT0, 3);
	device = o.device;
	read_region(device, 3, 0, 16);
	write_region(device, 3, 0, 4, 0x1234);
	read_region(device, 3, 0, 4);
	read_region(device, 3, 0x4c, 8);
	read_region(device, 3, 0x3ffc, 8);
	close_opened(o);
}

void scenario_mapping(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device;

	title("edu");
	void *bar = map_region(device, 0, 0, 0x100000, 0);

	touch(bar, 0);
	touch(bar, 0xff000);
	unmap(map_region(device, 0, 0x1000, 0x1000, 0), 0x1000);
	unmap(map_region(device, 0, 0, 1, 0), 0x1000);
	unmap(map_region(device, 0, 0, 0x101000, 0), 0x101000);
	unmap(map_region(device, 0, 0xff000, 0x1000, 0), 0x1000);
	unmap(map_region(device, 0, 0xff000, 0x2000, 0), 0x2000);
	unmap(map_region(device, 0, 0x100000, 0x1000, 0), 0x1000);
	unmap(map_region(device, 0, 0x800, 0x1000, 0), 0x1000);
	unmap(map_region(device, 0, 0, 0x1000, 1), 0x1000);
	for (unsigned index = 1; index <= 8; index++)
		unmap(map_region(device, index, 0, 0x1000, 0), 0x1000);
	say("device.mmap( past all regions )");
	void *address = mmap(NULL, 4096, PROT_READ, MAP_SHARED, device, 9ll << 40);

	result(address == MAP_FAILED ? -1 : 0);
	title("decode off");
	write_region(device, 7, 4, 2, 0);
	touch(bar, 0);
	void *second = map_region(device, 0, 0, 0x1000, 0);

	touch(second, 0);
	write_region(device, 7, 4, 2, 2);
	touch(bar, 0);
	touch(second, 0);
	title("the mapping after its descriptor");
	unmap(second, 0x1000);
	quiet(1);
	shut(device);
	quiet(0);
	touch(bar, 0);
	unmap(bar, 0x100000);
	o.device = -1;
	close_opened(o);

	title("pci-testdev: a page, ports, prefetchable memory");
	o = open_by_group(TESTDEV, 3);
	for (unsigned index = 0; index < 4; index++) {
		unmap(map_region(o.device, index, 0, 0x1000, 0), 0x1000);
		unmap(map_region(o.device, index, 0, 0x2000, 0), 0x2000);
	}
	close_opened(o);
	title("an MSI-X table");
	o = open_by_group(SLOT0, 3);
	unmap(map_region(o.device, 3, 0, 0x1000, 0), 0x1000);
	unmap(map_region(o.device, 3, 0, 0x4000, 0), 0x4000);
	unmap(map_region(o.device, 3, 0, 0x5000, 0), 0x5000);
	close_opened(o);
}
