/*
 * Copies memory with an I/OAT engine through /dev/vfio/devices/vfio<X> and /dev/iommu, as any program written for the kernel would:
 * descriptors in its own memory, a doorbell through a mapped BAR, an interrupt on an eventfd.
 */
#include <stdio.h>

#include "ioat-common.h"

int main(int argc, char **argv)
{
	struct options o = { .root = "", .bytes = 64 << 20 };
	struct device d;

	for (int i = 1; i < argc; i++) {
		if (common_option(&o, argv, &i))
			continue;
		fprintf(stderr, "usage: %s [--root DIR] [--size MIB] [--bdf 0000:00:00.0] [--private]\n", argv[0]);
		return 2;
	}
	find_function(&o);
	cdev_open(&o, &d);
	cdev_bind(&d);
	cdev_attach(&d);
	ioat_run(&o, &d);
	return 0;
}
