/*
 * Takes a function up to a stage and stays there: prints "ready", and leaves when a byte (or the end) comes on stdin. For tests that
 * kill a client, or look at the machine while one is there.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ioat-common.h"

/* In order; bind: with a group, its container; attach: with a group, its device descriptor. */
static const char *const stages[] = { "open", "bind", "attach", "map", "irq" };
enum { OPEN, BIND, ATTACH, MAP, IRQ, STAGES };

static int stage_named(const char *name)
{
	for (int i = 0; i < STAGES; i++)
		if (!strcmp(stages[i], name))
			return i;
	return -1;
}

int main(int argc, char **argv)
{
	struct options o = { .root = "", .bytes = 1 << 20 };
	struct device d;
	int last = MAP, group = 0;
	char byte;

	for (int i = 1; i < argc; i++) {
		if (common_option(&o, argv, &i))
			continue;
		if (!strcmp(argv[i], "--group")) {
			group = 1;
			continue;
		}
		if (!strcmp(argv[i], "--stage") && argv[i + 1] && (last = stage_named(argv[++i])) >= 0)
			continue;
		fprintf(stderr,
			"usage: %s [--group] [--stage open|bind|attach|map|irq] [--root DIR] [--size MIB]\n"
			"       [--bdf 0000:00:00.0] [--private]\n",
			argv[0]);
		return 2;
	}
	find_function(&o);
	if (group)
		group_open(&o, &d);
	else
		cdev_open(&o, &d);
	if (last >= BIND && group)
		group_container(&d);
	else if (last >= BIND)
		cdev_bind(&d);
	if (last >= ATTACH && group)
		group_device(&o, &d);
	else if (last >= ATTACH)
		cdev_attach(&d);
	if (last >= MAP)
		map_dma(&d, memory(&o, o.bytes), 0x100000000ull, o.bytes);
	if (last >= IRQ) {
		bus_master(&d);
		irq_eventfd(&d);
	}
	puts("ready");
	fflush(stdout);
	return read(0, &byte, 1) < 0;
}
