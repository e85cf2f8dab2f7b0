/* Resets, ioeventfds, features, power. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

static void hot_reset(int device, unsigned argsz, unsigned flags, unsigned count, const int *fds)
{
	if (count && fds)
		tail_fds(count, fds);
	CALL(device, PCI_HOT_RESET, argsz, flags, count);
}

void scenario_reset(void)
{
	static const char *const functions[] = { EDU, TESTDEV, NVME, SWITCHED, CONVENTIONAL, SLOT0, SLOT1 };

	title("RESET");
	for (unsigned i = 0; i < LENGTH(functions); i++) {
		struct opened o = open_by_group(functions[i], 3);

		call_value(o.device, &RESET, 0);
		CALL(o.device, GET_PCI_HOT_RESET_INFO, 12);
		CALL(o.device, GET_PCI_HOT_RESET_INFO, 28);
		hot_reset(o.device, 12, 0, 0, NULL);
		hot_reset(o.device, 16, 0, 1, &o.group);
		close_opened(o);
	}
	title("hot reset: the structures");
	struct opened o = open_by_group(SLOT0, 3);

	for (unsigned size = 11; size <= 30; size++)
		CALL(o.device, GET_PCI_HOT_RESET_INFO, size, ALL_ONES, ALL_ONES);
	room(11);
	CALL(o.device, GET_PCI_HOT_RESET_INFO, 12);
	room(20);
	CALL(o.device, GET_PCI_HOT_RESET_INFO, 28);
	int other = open_group(EDU, "other"), null = open_file("/dev/null", "null");
	int fds[] = { o.group, other, o.group }, bad[] = { 4000 }, wrong[] = { null }, twice[] = { o.group, o.group };
	int device_itself[] = { o.device }, foreign[] = { other };

	hot_reset(o.device, 11, 0, 1, fds);
	hot_reset(o.device, 12, 1, 1, fds);
	hot_reset(o.device, 12, 0, 1, fds);
	hot_reset(o.device, 16, 0, 1, fds);
	hot_reset(o.device, 20, 0, 2, fds);
	hot_reset(o.device, 20, 0, 2, twice);
	hot_reset(o.device, 24, 0, 3, fds);
	hot_reset(o.device, 16, 0, 1, bad);
	hot_reset(o.device, 16, 0, 1, wrong);
	hot_reset(o.device, 16, 0, 1, foreign);
	hot_reset(o.device, 16, 0, 1, device_itself);
	hot_reset(o.device, 16, 0, 0xffffffff, NULL);
	room(12);
	hot_reset(o.device, 16, 0, 1, NULL);
	title("what a reset leaves");
	write_region(o.device, 7, 4, 2, 6);
	write_region(o.device, 7, 0x3c, 1, 0x55);
	hot_reset(o.device, 16, 0, 1, fds);
	read_region(o.device, 7, 4, 2);
	read_region(o.device, 7, 0x3c, 1);
	call_value(o.device, &RESET, 0);
	read_region(o.device, 7, 4, 2);
	shut(other);
	close_opened(o);

	title("by cdev");
	struct bound b = open_by_cdev(SLOT0);

	CALL(b.device, GET_PCI_HOT_RESET_INFO, 28);
	hot_reset(b.device, 12, 0, 0, NULL);
	hot_reset(b.device, 16, 0, 1, &null);
	int second = open_cdev(SLOT1, "second");

	CALL(second, BIND_IOMMUFD, 24, 0, b.iommu);
	CALL(second, GET_PCI_HOT_RESET_INFO, 28);
	hot_reset(second, 12, 0, 0, NULL);
	shut(second);
	close_bound(b);
	b = open_by_cdev(SWITCHED);
	CALL(b.device, GET_PCI_HOT_RESET_INFO, 28);
	hot_reset(b.device, 12, 0, 0, NULL);
	close_bound(b);
	b = open_by_cdev(EDU);
	CALL(b.device, GET_PCI_HOT_RESET_INFO, 28);
	hot_reset(b.device, 12, 0, 0, NULL);
	close_bound(b);
	shut(null);
}

void scenario_ioeventfd(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, one = event("one"), two = event("two"), null = open_file("/dev/null", "null");
	const uint64_t bar = region_offset(device, 0);

	title("the structure");
	room(27);
	CALL(device, IOEVENTFD, 28, 4, bar, 0, one);
	CALL(device, IOEVENTFD, 27, 4, bar, 0, one);
	for (unsigned flags = 0; flags <= 17; flags++)
		CALL(device, IOEVENTFD, 32, flags, bar + 0x100 + 8 * flags, 0, one);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0, -2);
	title("places");
	CALL(device, IOEVENTFD, 32, 4, bar + 0xffffc, 0, one);
	CALL(device, IOEVENTFD, 32, 4, bar + 0xffffe, 0, one);
	CALL(device, IOEVENTFD, 32, 4, bar + 0x100000, 0, one);
	CALL(device, IOEVENTFD, 32, 4, bar + 5, 0, one);
	for (unsigned index = 1; index <= 9; index++)
		CALL(device, IOEVENTFD, 32, 4, bar + ((uint64_t)index << 40), 0, one);
	title("once, twice, away");
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, 4000);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, null);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, -1);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, one);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, two);
	CALL(device, IOEVENTFD, 28, 4, bar + 4, 0x22222222, two);
	CALL(device, IOEVENTFD, 32, 2, bar + 4, 0x11111111, one);
	title("signals write");
	for (unsigned i = 0; i < 2; i++) {
		uint64_t add = 1;

		say("signal\n");
		if (write(i ? two : one, &add, 8) != 8)
			say("not written\n");
		usleep(50000);
		read_region(device, 0, 4, 4);
	}
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, -1);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x11111111, -1);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x22222222, -1);
	title("decode off");
	write_region(device, 7, 4, 2, 0);
	CALL(device, IOEVENTFD, 32, 4, bar + 4, 0x33333333, one);
	close_opened(o);
	title("an MSI-X table");
	o = open_by_group(SLOT0, 3);
	for (unsigned offset = 0; offset <= 0x60; offset += 0x10)
		CALL(o.device, IOEVENTFD, 32, 4, region_offset(o.device, 3) + offset, 0, one);
	title("an I/O BAR");
	CALL(o.device, IOEVENTFD, 32, 4, region_offset(o.device, 2), 0, one);
	close_opened(o);
	title("the limit");
	o = open_by_group(EDU, 3);
	quiet(1);
	for (unsigned i = 0; i < 999; i++)
		CALL(o.device, IOEVENTFD, 32, 4, region_offset(o.device, 0) + 4, i, one);
	quiet(0);
	CALL(o.device, IOEVENTFD, 32, 4, region_offset(o.device, 0) + 4, 10000, one);
	CALL(o.device, IOEVENTFD, 32, 4, region_offset(o.device, 0) + 4, 10001, one);
	close_opened(o);
	shut(null);
}

void scenario_feature(void)
{
	static const char *const functions[] = { EDU, NVME, SLOT0 };
	static const unsigned operations[] = { 0, FEATURE_GET, FEATURE_SET, FEATURE_PROBE, FEATURE_PROBE | FEATURE_GET,
					       FEATURE_PROBE | FEATURE_SET, FEATURE_GET | FEATURE_SET,
					       FEATURE_PROBE | FEATURE_GET | FEATURE_SET };

	for (unsigned i = 0; i < LENGTH(functions); i++) {
		title("%s", functions[i]);
		struct opened o = open_by_group(functions[i], 3);

		for (unsigned number = 0; number <= 14; number++)
			for (unsigned k = 0; k < LENGTH(operations); k++)
				for (unsigned size = 8; size <= 64; size += 56)
					CALL(o.device, FEATURE, size, number | operations[k]);
		close_opened(o);
	}
	struct opened o = open_by_group(EDU, 3);

	title("the structure");
	room(7);
	CALL(o.device, FEATURE, 8, FEATURE_PROBE | 3);
	CALL(o.device, FEATURE, 7, FEATURE_PROBE | 3);
	CALL(o.device, FEATURE, 8, 0x80000 | FEATURE_PROBE | 3);
	CALL(o.device, FEATURE, 8, 0x80000000 | FEATURE_PROBE | 3);
	CALL(o.device, FEATURE, 8, FEATURE_PROBE | 0xffff);
	CALL(o.device, FEATURE, 0x1000, FEATURE_SET | 5);
	close_opened(o);
}

static void low_power(int device, unsigned size, unsigned flags, int fd)
{
	tail_fds(1, &fd);
	CALL(device, FEATURE, size, flags);
}

void scenario_power(void)
{
	static const char *const functions[] = { EDU, SLOT0 };
	int one = event("one"), null = open_file("/dev/null", "null");

	for (unsigned i = 0; i < LENGTH(functions); i++) {
		struct opened o = open_by_group(functions[i], 3);
		int device = o.device;

		title("%s: in and out", functions[i]);
		CALL(device, FEATURE, 8, FEATURE_SET | 5);
		CALL(device, FEATURE, 8, FEATURE_SET | 3);
		CALL(device, FEATURE, 8, FEATURE_SET | 3);
		low_power(device, 16, FEATURE_SET | 4, one);
		CALL(device, GET_INFO, 16);
		read_region(device, 7, 0, 4);
		say("device.pread( BAR0 4 )");
		uint32_t word;

		result(pread(device, &word, 4, region_offset(device, 0)));
		CALL(device, FEATURE, 8, FEATURE_SET | 5);
		CALL(device, FEATURE, 8, FEATURE_SET | 5);
		title("%s: with a wake-up", functions[i]);
		low_power(device, 12, FEATURE_SET | 4, one);
		low_power(device, 16, FEATURE_SET | 4, -1);
		low_power(device, 16, FEATURE_SET | 4, 4000);
		low_power(device, 16, FEATURE_SET | 4, null);
		low_power(device, 16, FEATURE_SET | 4, one);
		count(one);
		CALL(device, FEATURE, 8, FEATURE_SET | 3);
		count(one);
		CALL(device, FEATURE, 8, FEATURE_SET | 5);
		count(one);
		title("%s: a mapping", functions[i]);
		void *bar = map_region(device, 0, 0, 0x1000, 0);

		touch(bar, 0);
		CALL(device, FEATURE, 8, FEATURE_SET | 3);
		touch(bar, 0);
		CALL(device, FEATURE, 8, FEATURE_SET | 5);
		touch(bar, 0);
		unmap(bar, 0x1000);
		close_opened(o);
	}
	shut(null);
}
