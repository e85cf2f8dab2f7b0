/* One ioctl: the structure is built from its fields, and compared afterwards. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"
#include "shapes.h"

#define PAGES 0x4000
static uint8_t *area, before[PAGES];
static uint8_t *structure;
static const struct shape *last;
static unsigned room_bytes, tail_length, silent;
static const void *tail_bytes;
static const int *tail_list;

struct part {
	char name[32];
	unsigned offset, size;
	int descriptor;
};

/* The next field of a shape; 0 at the end. */
static int next_part(const char **text, struct part *part)
{
	int used = 0;

	part->offset += part->size;
	if (sscanf(*text, " %31[^:]:%u%n", part->name, &part->size, &used) < 2)
		return 0;
	*text += used;
	part->descriptor = **text == 'd';
	*text += part->descriptor;
	return 1;
}

static uint64_t load(const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, from, size);
	return value;
}

void say(const char *format, ...)
{
	va_list arguments;

	if (silent)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}

void title(const char *format, ...)
{
	va_list arguments;

	printf("\n# ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

void quiet(int on)
{
	silent = on;
}

static void say_value(const struct part *part, uint64_t value)
{
	value = load((const uint8_t *)&value, part->size);
	if (part->descriptor)
		say(" %s=%s", part->name, fd_name((int32_t)value));
	else
		say(value < 10 ? " %s=%llu" : " %s=%#llx", part->name, (unsigned long long)value);
}

static void say_result(long value)
{
	if (value < 0)
		say(" = %s", strerrorname_np(errno) ?: "E?");
	else
		say(" = %ld", value);
}

void result(long value)
{
	say_result(value);
	say("\n");
}

void room(unsigned bytes)
{
	room_bytes = bytes;
}

void tail(const void *bytes, unsigned length)
{
	tail_bytes = bytes;
	tail_length = length;
}

void tail_fds(unsigned count, const int *fds)
{
	tail(fds, count * sizeof(int));
	tail_list = fds;
}

static void say_tail(void)
{
	if (tail_list)
		for (unsigned i = 0; i < tail_length / sizeof(int); i++)
			say("%s%s", i ? "," : " data=", fd_name(tail_list[i]));
	else
		for (unsigned i = 0; i < tail_length && i < 64; i++)
			say("%s%02x", i ? "" : " data=", ((const uint8_t *)tail_bytes)[i]);
}

static void say_changes(const struct shape *shape, unsigned accessible)
{
	const char *text = shape->fields;
	struct part part = { 0 };
	unsigned first, end = accessible;

	while (next_part(&text, &part))
		if (part.offset + part.size <= accessible && memcmp(structure + part.offset, before + part.offset, part.size))
			say_value(&part, load(structure + part.offset, part.size));
	for (first = part.offset; first < end && structure[first] == before[first];)
		first++;
	while (end > first && structure[end - 1] == before[end - 1])
		end--;
	if (end > first)
		say(" +%u:", first);
	for (unsigned i = first; i < end; i++)
		say("%s%02x", (i - first) % 8 ? "" : " ", structure[i]);
}

long call(int fd, const struct shape *shape, unsigned count, const uint64_t *values)
{
	const char *text = shape->fields;
	struct part part = { 0 };
	unsigned accessible, given = 0;

	if (!area) {
		area = mmap(NULL, PAGES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area == MAP_FAILED || mprotect(area + PAGES, 4096, PROT_NONE))
			abort();
	}
	accessible = room_bytes ? room_bytes : PAGES;
	structure = area + PAGES - accessible;
	memset(area, shape->poison ? 0xcc : 0, PAGES);
	memset(before, shape->poison ? 0xcc : 0, PAGES);
	say("%s.%s(", fd_name(fd), shape->name);
	for (unsigned i = 0; next_part(&text, &part); i++) {
		uint64_t value = i < count ? values[i] : 0;

		if (i < count)
			say_value(&part, value), given = 1;
		memcpy(before + part.offset, &value, part.size);
	}
	if (tail_length)
		memcpy(before + part.offset, tail_bytes, tail_length);
	say_tail();
	if (room_bytes)
		say("%saccessible=%u", given ? " " : "", room_bytes);
	memcpy(structure, before, accessible);
	long returned = ioctl(fd, shape->number, structure);
	int error = errno;

	say(" )");
	errno = error;
	say_result(returned);
	last = shape;
	say_changes(shape, accessible);
	say("\n");
	room_bytes = tail_length = 0;
	tail_list = NULL;
	errno = error;
	return returned;
}

uint64_t field(const char *name)
{
	const char *text = last->fields;
	struct part part = { 0 };

	while (next_part(&text, &part))
		if (!strcmp(part.name, name))
			return load(structure + part.offset, part.size);
	abort();
}

const uint8_t *bytes_out(void)
{
	return structure;
}

long call_value(int fd, const struct shape *shape, uint64_t value)
{
	say(value < 0x1000 ? "%s.%s( %llu )" : "%s.%s( %#llx )", fd_name(fd), shape->name, (unsigned long long)value);
	long returned = ioctl(fd, shape->number, value);

	result(returned);
	return returned;
}

int device_fd(int group, const char *string, const char *name)
{
	int fd = ioctl(group, GET_DEVICE_FD.number, string);
	int error = errno;

	say("%s.GET_DEVICE_FD( \"%.80s\" ) = ", fd_name(group), string);
	if (fd < 0) {
		say("%s\n", strerrorname_np(error));
		return fd;
	}
	name_fd(fd, name);
	say("%s%s\n", name, fcntl(fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "");
	return fd;
}
