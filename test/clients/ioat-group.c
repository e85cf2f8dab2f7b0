/* As ioat-cdev, through /dev/vfio/vfio (type1v2) and /dev/vfio/<group>. */
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
	group_open(&o, &d);
	group_container(&d);
	group_device(&o, &d);
	ioat_run(&o, &d);
	return 0;
}
