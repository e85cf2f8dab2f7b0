/* SET_IRQS: every row, with eventfds that are read back. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenarios.h"

static void set(int device, unsigned flags, unsigned index, unsigned start, unsigned count, unsigned data, const void *bytes)
{
	if (data)
		tail(bytes, data);
	CALL(device, SET_IRQS, 20 + data, flags, index, start, count);
}

static void set_fds(int device, unsigned action, unsigned index, unsigned start, unsigned count, const int *fds)
{
	tail_fds(count, fds);
	CALL(device, SET_IRQS, 20 + 4 * count, action | IRQ_EVENTFD, index, start, count);
}

static void say_disable_bit(int device)
{
	say("  INTx disable bit: %u\n", (unsigned)(peek(device, 7, 4, 2) >> 10 & 1));
}

void scenario_irq_rules(void)
{
	struct opened o = open_by_group(SLOT0, 3);
	int device = o.device, one = event("one");

	title("the structure");
	room(19);
	CALL(device, SET_IRQS, 20, 0x21);
	for (unsigned size = 0; size < 24; size += 19)
		CALL(device, SET_IRQS, size, 0x21, 2, 0, 0);
	CALL(device, SET_IRQS, 20, 0x21, 5, 0, 0);
	CALL(device, SET_IRQS, 20, 0x21, ALL_ONES, 0, 0);
	CALL(device, SET_IRQS, 20, 0x21, 2, 0, ALL_ONES);
	CALL(device, SET_IRQS, 20, 0x21, 2, 1, 0xfffffffe);
	CALL(device, SET_IRQS, 20, 0x21, 2, ALL_ONES, 0);
	CALL(device, SET_IRQS, 20, 0x61, 2, 0, 0);
	title("flags: every combination, on each index");
	for (unsigned index = 0; index < 5; index++)
		for (unsigned flags = 0; flags < 64; flags++) {
			static const uint8_t zeros[4];

			set(device, flags, index, 0, 1, 4, zeros);
		}
	title("ranges");
	for (unsigned index = 0; index < 5; index++)
		for (unsigned start = 0; start < 7; start++)
			for (unsigned count = 0; count < 7; count += 2)
				CALL(device, SET_IRQS, 20, 0x21, index, start, count);
	title("data");
	for (unsigned size = 20; size < 28; size++) {
		tail_fds(1, &one);
		CALL(device, SET_IRQS, size, 0x24, 2, 0, 1);
		tail_fds(1, &one);
		CALL(device, SET_IRQS, size, 0x22, 2, 0, 2);
	}
	CALL(device, SET_IRQS, 20, 0x21, 2, 0, 0);
	room(20);
	CALL(device, SET_IRQS, 24, 0x24, 2, 0, 1);
	room(23);
	CALL(device, SET_IRQS, 24, 0x24, 2, 0, 1);
	close_opened(o);
	title("a function without any interrupt");
	o = open_by_group(TESTDEV, 3);
	for (unsigned index = 0; index < 5; index++)
		for (unsigned count = 0; count < 2; count++)
			CALL(o.device, SET_IRQS, 20, 0x21, index, 0, count);
	close_opened(o);
}

void scenario_intx(void)
{
	static const uint8_t yes[] = { 1 }, no[] = { 0 };
	int one = event("one"), two = event("two"), none = -1, closed = 4000, null = open_file("/dev/null", "null"), minus = -2;
	struct opened o = open_by_group(EDU, 3);
	int device = o.device;

	title("not enabled");
	set(device, 0x21, 0, 0, 0, 0, NULL);
	set(device, 0x21, 0, 0, 1, 0, NULL);
	set(device, 0x22, 0, 0, 1, 1, yes);
	set(device, 0x09, 0, 0, 1, 0, NULL);
	set(device, 0x11, 0, 0, 1, 0, NULL);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &one);
	set_fds(device, IRQ_MASK, 0, 0, 1, &one);
	title("enable");
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &closed);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &null);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &minus);
	set(device, 0x21, 0, 0, 0, 0, NULL);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &one);
	say_disable_bit(device);
	count(one);
	title("loopback");
	set(device, 0x21, 0, 0, 1, 0, NULL);
	count(one);
	set(device, 0x22, 0, 0, 1, 1, yes);
	set(device, 0x22, 0, 0, 1, 1, yes);
	count(one);
	set(device, 0x22, 0, 0, 1, 1, no);
	count(one);
	title("mask and unmask");
	set(device, 0x09, 0, 0, 1, 0, NULL);
	set(device, 0x09, 0, 0, 1, 0, NULL);
	set(device, 0x21, 0, 0, 1, 0, NULL);
	count(one);
	set(device, 0x11, 0, 0, 1, 0, NULL);
	set(device, 0x0a, 0, 0, 1, 1, yes);
	set(device, 0x0a, 0, 0, 1, 1, no);
	set(device, 0x12, 0, 0, 1, 1, no);
	set(device, 0x12, 0, 0, 1, 1, yes);
	set(device, 0x09, 0, 0, 0, 0, NULL);
	set_fds(device, IRQ_MASK, 0, 0, 1, &two);
	title("unmask by eventfd");
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &two);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &two);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &one);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &none);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &none);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &closed);
	set_fds(device, IRQ_UNMASK, 0, 0, 1, &null);
	title("another eventfd, none, and the others meanwhile");
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &two);
	set(device, 0x21, 0, 0, 1, 0, NULL);
	count(one);
	count(two);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &none);
	set(device, 0x21, 0, 0, 1, 0, NULL);
	count(two);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &null);
	set_fds(device, IRQ_TRIGGER, 1, 0, 1, &one);
	set(device, 0x21, 1, 0, 0, 0, NULL);
	title("the disable bit");
	write_region(device, 7, 4, 2, 0x402);
	read_region(device, 7, 4, 2);
	read_region(device, 7, 6, 2);
	write_region(device, 7, 4, 2, 0x002);
	read_region(device, 7, 4, 2);
	title("disable");
	set(device, 0x21, 0, 0, 0, 0, NULL);
	set(device, 0x21, 0, 0, 0, 0, NULL);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, &one);
	set(device, 0x22, 0, 0, 0, 0, NULL);
	set(device, 0x24, 0, 0, 0, 0, NULL);
	call_value(device, &RESET, 0);
	set(device, 0x21, 0, 0, 1, 0, NULL);
	count(one);
	title("a device that interrupts: edu");
	write_region(device, 0, 0x60, 4, 1);
	struct pollfd poll_one = { .fd = one, .events = POLLIN };

	poll(&poll_one, 1, 1000);
	count(one);
	read_region(device, 0, 0x24, 4);
	say("device.status interrupt bit %u\n", (unsigned)(peek(device, 7, 6, 2) >> 3 & 1));
	set(device, 0x11, 0, 0, 1, 0, NULL);
	poll(&poll_one, 1, 1000);
	count(one);
	write_region(device, 0, 0x64, 4, 1);
	set(device, 0x11, 0, 0, 1, 0, NULL);
	poll(&poll_one, 1, 50);
	count(one);
	close_opened(o);
	shut(null);
}

static void vectors(const char *bdf, unsigned index)
{
	static const uint8_t some[] = { 1, 0, 1 }, none_of[] = { 0 };
	int events[] = { event("e0"), event("e1"), event("e2"), event("e3"), event("e4") }, none[] = { -1, -1, -1 };
	int null = open_file("/dev/null", "null");
	int gap[] = { events[0], -1, events[2] }, bad[] = { events[0], 4000, events[2] }, wrong[] = { events[0], null, events[2] };
	struct opened o = open_by_group(bdf, 3);
	int device = o.device;

	title("%s index %u: not enabled", bdf, index);
	set(device, 0x21, index, 0, 0, 0, NULL);
	set(device, 0x21, index, 0, 1, 0, NULL);
	set(device, 0x22, index, 0, 1, 1, some);
	set(device, 0x24, index, 0, 0, 0, NULL);
	title("%s index %u: one", bdf, index);
	set_fds(device, IRQ_TRIGGER, index, 0, 1, events);
	say_disable_bit(device);
	set(device, 0x21, index, 0, 1, 0, NULL);
	count(events[0]);
	set(device, 0x22, index, 0, 1, 1, none_of);
	count(events[0]);
	title("%s index %u: more than enabled", bdf, index);
	set_fds(device, IRQ_TRIGGER, index, 1, 1, events + 1);
	set(device, 0x21, index, 1, 1, 0, NULL);
	count(events[1]);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, events);
	set(device, 0x21, index, 0, 3, 0, NULL);
	for (unsigned i = 0; i < 3; i++)
		count(events[i]);
	set_fds(device, IRQ_TRIGGER, 0, 0, 1, events);
	set(device, 0x21, 0, 0, 0, 0, NULL);
	set(device, 0x24, index, 0, 0, 0, NULL);
	set(device, 0x22, index, 0, 0, 0, NULL);
	set(device, 0x21, index, 1, 0, 0, NULL);
	set(device, 0x21, index, 0, 0, 0, NULL);
	title("%s index %u: three, gaps, errors", bdf, index);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, gap);
	set(device, 0x21, index, 0, 3, 0, NULL);
	set(device, 0x22, index, 0, 3, 3, some);
	for (unsigned i = 0; i < 3; i++)
		count(events[i]);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, bad);
	set(device, 0x21, index, 0, 3, 0, NULL);
	for (unsigned i = 0; i < 3; i++)
		count(events[i]);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, wrong);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, none);
	set(device, 0x21, index, 0, 3, 0, NULL);
	set(device, 0x21, index, 0, 0, 0, NULL);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, bad);
	set(device, 0x21, index, 0, 1, 0, NULL);
	set_fds(device, IRQ_TRIGGER, index, 0, 3, none);
	set(device, 0x21, index, 0, 1, 0, NULL);
	title("%s index %u: start beyond what is enabled", bdf, index);
	set(device, 0x21, index, 0, 0, 0, NULL);
	set(device, 0x24, index, 2, 0, 0, NULL);
	set_fds(device, IRQ_TRIGGER, index, 1, 1, events + 1);
	set(device, 0x21, index, 0, 3, 0, NULL);
	count(events[1]);
	call_value(device, &RESET, 0);
	set(device, 0x21, index, 1, 1, 0, NULL);
	count(events[1]);
	close_opened(o);
	for (unsigned i = 0; i < 5; i++)
		close(events[i]);
	shut(null);
}

static void virtual_msi(const char *bdf)
{
	struct opened o = open_by_group(bdf, 3);
	unsigned at = peek(o.device, 7, 0x34, 1);
	int one = event("one");

	title("%s: the MSI capability while MSI is off, on, off", bdf);
	while (at && peek(o.device, 7, at, 1) != 5)
		at = peek(o.device, 7, at + 1, 1);
	for (unsigned step = 0; step < 3; step++) {
		if (step == 1)
			set_fds(o.device, IRQ_TRIGGER, 1, 0, 1, &one);
		if (step == 2)
			set(o.device, 0x21, 1, 0, 0, 0, NULL);
		uint64_t control = region_offset(o.device, 7) + at + 2, address = 0xfee01004;

		for (unsigned value = 0; value < 0x80; value += 0x11) {
			long written = pwrite(o.device, &value, 2, control);

			say("MSI control %#x", value);
			result(written);
			say("  reads %#x\n", (unsigned)peek(o.device, 7, at + 2, 2));
		}
		long written = pwrite(o.device, &address, 4, control + 2);

		say("MSI address");
		result(written);
		say("  reads %#x\n", (unsigned)peek(o.device, 7, at + 4, 4));
	}
	close_opened(o);
	close(one);
}

void scenario_msi(void)
{
	static const uint8_t yes[] = { 1 }, no[] = { 0 };

	vectors(EDU, 1);
	vectors(SLOT0, 1);
	vectors(SLOT0, 2);
	vectors(NVME, 2);
	virtual_msi(EDU);
	virtual_msi(SLOT0);

	struct opened o = open_by_group(SLOT0, 3);
	int one = event("one"), none = -1, minus = -2, closed = 4000, null = open_file("/dev/null", "null");

	for (unsigned index = 3; index < 5; index++) {
		title("index %u", index);
		set(o.device, 0x21, index, 0, 0, 0, NULL);
		set(o.device, 0x21, index, 0, 1, 0, NULL);
		set(o.device, 0x22, index, 0, 1, 1, yes);
		set(o.device, 0x22, index, 0, 0, 0, NULL);
		set(o.device, 0x24, index, 0, 0, 0, NULL);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &closed);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &null);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &minus);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &one);
		set(o.device, 0x21, index, 0, 1, 0, NULL);
		count(one);
		set(o.device, 0x22, index, 0, 1, 1, yes);
		count(one);
		set(o.device, 0x22, index, 0, 1, 1, no);
		count(one);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &none);
		set(o.device, 0x21, index, 0, 1, 0, NULL);
		set_fds(o.device, IRQ_TRIGGER, index, 0, 1, &one);
		set(o.device, 0x21, index, 0, 0, 0, NULL);
		set(o.device, 0x21, index, 0, 0, 0, NULL);
		set_fds(o.device, IRQ_MASK, index, 0, 1, &one);
		set_fds(o.device, IRQ_UNMASK, index, 0, 1, &one);
	}
	close_opened(o);
	shut(null);
}
