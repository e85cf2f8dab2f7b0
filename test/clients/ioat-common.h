/* What the clients share: finding the function, both ways to a device descriptor, and driving an I/OAT engine through it. */
#ifndef IOAT_COMMON_H
#define IOAT_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uapi.h"

struct options {
	const char *root; /* "" or the directory that holds sys/ and dev/ */
	char bdf[32];	  /* empty: the first 8086:2021 */
	const char *bus;  /* where that name stands; NULL: pci */
	size_t bytes;	  /* of one copy */
	bool private;	  /* anonymous private memory instead of a shared memfd */
};

/* An open device and the address space behind it; container or IOAS. */
struct device {
	int fd;
	int iommu_fd;
	int group_fd; /* -1 with iommufd */
	uint32_t ioas;
};

/* Prints "ok  <step> …" */
void ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints what failed, with errno unless it is 0, and exits 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Takes --root, --bdf, --auxiliary, --size (MiB), --private at argv[*i], moving *i past them; false when argv[*i] is something else. */
bool common_option(struct options *o, char **argv, int *i);
/* Path below the root, in one of a few static buffers. */
const char *path(const struct options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

void find_function(struct options *o);

/* The steps to a device descriptor, in order. */
void cdev_open(const struct options *o, struct device *d);
void cdev_bind(struct device *d);
void cdev_attach(struct device *d);
void group_open(const struct options *o, struct device *d);
void group_container(struct device *d);
void group_device(const struct options *o, struct device *d);

void *memory(const struct options *o, size_t bytes);
void map_dma(const struct device *d, void *va, uint64_t iova, size_t bytes);

void bus_master(const struct device *d);
/* MSI-X vector 0 on a new eventfd; returns it. */
int irq_eventfd(const struct device *d);

/* Info, BAR, interrupts, copy, verification: everything after the device descriptor is there and attached. */
void ioat_run(const struct options *o, const struct device *d);

#endif
