/*
 * Makes calls on VFIO and iommufd files and writes each down on a line: `file.CALL(arguments) = result ERRNO fields-that-changed`.
 * The program expects nothing and branches on nothing: what a real kernel answered is the expectation. Everything printed is the same
 * on every run: descriptors are shown by name, memory lies at fixed addresses.
 */
#ifndef ABI_H
#define ABI_H

#include <stddef.h>
#include <stdint.h>

/* Memory to map for DMA; below it nothing, so that a range can start outside. */
#define MEM 0x100000000000ull
#define MEM_SIZE 0x1000000ull
#define READONLY_MEM 0x110000000000ull
#define NOWHERE 0x120000000000ull
#define ALL_ONES 0xffffffffffffffffull

/* An ioctl and its structure: "name:bytes", with a `d` for a descriptor. `poison`: what lies behind the fields is not zero. */
struct shape {
	uint32_t number;
	const char *name;
	const char *fields;
	int poison;
};

/* The next call only: */
void room(unsigned bytes);                       /* no more than this many bytes of the structure are accessible */
void tail(const void *bytes, unsigned length);   /* what stands behind the fields */
void tail_fds(unsigned count, const int *fds);

long call(int fd, const struct shape *shape, unsigned count, const uint64_t *values);
#define CALL(fd, shape, ...) \
	call(fd, &(shape), sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), (uint64_t[]){ __VA_ARGS__ })
uint64_t field(const char *name);                /* of the structure as the last call left it */
const uint8_t *bytes_out(void);
long call_value(int fd, const struct shape *shape, uint64_t value);
int device_fd(int group, const char *string, const char *name);

/* A heading, and silence for what only prepares. */
void title(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void result(long value);                         /* ends a line */
void quiet(int on);

void name_fd(int fd, const char *name);
const char *fd_name(int fd);
int open_file(const char *path, const char *name);
int open_group(const char *bdf, const char *name);
int open_cdev(const char *bdf, const char *name);
int shut(int fd);
int event(const char *name);
void count(int fd);                              /* what an eventfd has counted */
void set_sysfs(const char *path, const char *text);
void bind_vfio(const char *bdf);
unsigned group_number(const char *bdf);

/* Regions of a device, by index. */
uint64_t region_offset(int fd, unsigned index);
void read_region(int fd, unsigned index, uint64_t offset, unsigned length);
void write_region(int fd, unsigned index, uint64_t offset, unsigned length, uint64_t value);
uint64_t peek(int fd, unsigned index, uint64_t offset, unsigned length); /* silent */
void read_at(int fd, uint64_t offset, unsigned length);                  /* offsets of the file */
void write_at(int fd, uint64_t offset, unsigned length, uint64_t value);
void *map_region(int fd, unsigned index, uint64_t offset, uint64_t length, int private);
void touch(void *address, uint64_t offset);      /* one load: its success, or the signal */
void unmap(void *address, uint64_t length);

/* Configuration space: every byte; and what writes to each field leave. */
void dump_config(int device);
void sweep_config(int device, const char *bdf);

/* The usual ways to a device. */
struct opened {
	int container, group, device;
};
struct opened open_by_group(const char *bdf, unsigned type);
void close_opened(struct opened o);
struct bound {
	int iommu, device;
	uint32_t devid;
};
struct bound open_by_cdev(const char *bdf);
void close_bound(struct bound b);

#define EDU "0000:00:02.0"
#define TESTDEV "0000:00:03.0"
#define NVME "0000:01:00.0"
#define SWITCHED "0000:04:00.0"
#define CONVENTIONAL "0000:07:01.0"
#define SLOT0 "0000:08:00.0"
#define SLOT1 "0000:08:00.1"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#endif
