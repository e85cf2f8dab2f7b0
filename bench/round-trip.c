/*
 * How long one request to a device file takes, seen from the client:
 *   - an ioctl whose 16-byte argument the server reads and writes (VFIO_GROUP_GET_STATUS), and
 *   - a 4-byte pread (of a VFIO device: vendor and device id, in config space).
 *
 *   round-trip COUNT FILE                     both on one file: the peer
 *   round-trip COUNT DIRECTORY GROUP BDF      ioctl on the group, pread on the device: …/dev/vfio 5 0000:00:04.0
 *
 * Prints "ioctl P50 P99" and "pread P50 P99", in nanoseconds. The first tenth of the calls is not counted. A call that fails ends
 * it: an errno is not a round trip.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <unistd.h>

#include "timing.h"
#include "vfio-device.h"

static void ask_status(int fd, off_t offset)
{
	struct {
		struct vfio_group_status status;
		uint32_t rest[2];
	} argument = { .status.argsz = sizeof argument.status };

	(void)offset;
	must(ioctl(fd, VFIO_GROUP_GET_STATUS, &argument), "VFIO_GROUP_GET_STATUS");
}

static void read_word(int fd, off_t offset)
{
	uint32_t word;

	if (pread(fd, &word, sizeof word, offset) != sizeof word) {
		perror("pread");
		exit(1);
	}
}

static void measure(const char *what, void (*call)(int fd, off_t offset), int fd, off_t offset, size_t count)
{
	uint64_t *taken = calloc(count, sizeof *taken);

	if (!taken)
		exit(1);
	for (size_t i = 0; i < count / 10; i++)
		call(fd, offset);
	for (size_t i = 0; i < count; i++) {
		uint64_t start = now_ns();

		call(fd, offset);
		taken[i] = now_ns() - start;
	}
	printf("%s %" PRIu64 " %" PRIu64 "\n", what, percentile(taken, count, 50), percentile(taken, count, 99));
	free(taken);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	struct vfio_region_info config = { .argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX };
	int group, device;

	if (count < 100 || (argc != 3 && argc != 5)) {
		fprintf(stderr, "usage: round-trip COUNT (FILE | DIRECTORY GROUP BDF), COUNT >= 100\n");
		return 2;
	}
	if (argc == 3) {
		group = device = must(open(argv[2], O_RDWR), argv[2]);
	} else {
		device = open_device(argv[2], argv[3], argv[4], &group);
		must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config), "VFIO_DEVICE_GET_REGION_INFO");
	}
	measure("ioctl", ask_status, group, 0, count);
	measure("pread", read_word, device, config.offset, count);
	return 0;
}
