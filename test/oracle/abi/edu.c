/* What a device does by itself: registers, and the interrupts that it raises. */
#include <stdio.h>

#include "edu.h"

void scenario_edu(void)
{
	struct opened o = open_by_group(EDU, 3);
	int device = o.device, one = event("one");

	/* As after power-on, whoever used it before: no reset reaches it. */
	poke(device, 4, 4, ALL_BITS);
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
	title("through a mapping");
	volatile uint32_t *bar = map_region(device, 0, 0, 0x1000, 0);

	if (bar) {
		/* A moment after each store: nothing here is told of it at once. */
		bar[1] = 0x0f0f0f0f;
		usleep(50000);
		say("  load: %#x, %#x\n", bar[0], bar[1]);
		bar[2] = 7;
		usleep(50000);
		say("  load: %u, status %#x\n", bar[2], bar[STATUS / 4]);
		set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
		bar[RAISE / 4] = 0x30;
		await(one, 1);
		say_state(device);
		bar[ACKNOWLEDGE / 4] = 0x10;
		usleep(50000);
		set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
		await(one, 1);
		bar[ACKNOWLEDGE / 4] = 0x20;
		usleep(50000);
		say_state(device);
		set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
		await(one, 0);
		bar[RAISE / 4] = 0x30;
		await(one, 1);
		/* At once, here: the kernel asks the device, and the store is there before the question. */
		for (unsigned i = 0; i < 3; i++) {
			bar[ACKNOWLEDGE / 4] = 0x30;
			set_irqs(device, IRQ_UNMASK | IRQ_NONE, 0, 1);
			await(one, 0);
			bar[RAISE / 4] = 0x30;
			await(one, 1);
		}
		bar[ACKNOWLEDGE / 4] = 0x30;
		usleep(50000);
		unmap((void *)bar, 0x1000);
	}
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
