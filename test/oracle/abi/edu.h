/* QEMU's edu (docs/specs/edu.rst): its registers, and what all of its scenarios do with it. */
#ifndef EDU_H
#define EDU_H

#include <poll.h>
#include <unistd.h>

#include "scenarios.h"

#define STATUS 0x20
#define INTERRUPTS 0x24
#define RAISE 0x60
#define ACKNOWLEDGE 0x64
#define SOURCE 0x80
#define COMMAND 0x98
#define BUFFER 0x40000
#define TO_MEMORY 2
#define WITH_INTERRUPT 4
#define K4 0x1000ull
#define ALL_BITS 0xffffffff

static inline void set_irqs(int device, unsigned flags, unsigned index, unsigned count)
{
	CALL(device, SET_IRQS, 20, flags, index, 0, count);
}

static inline void set_fd(int device, unsigned action, unsigned index, int fd)
{
	tail_fds(1, &fd);
	CALL(device, SET_IRQS, 24, action | IRQ_EVENTFD, index, 0, 1);
}

static inline void poke(int device, uint64_t offset, unsigned length, uint64_t value)
{
	if (pwrite(device, &value, length, region_offset(device, 0) + offset) != (ssize_t)length)
		say("not written\n");
}

static inline void raise_bits(int device, uint32_t bits)
{
	say("raise %#x\n", bits);
	poke(device, RAISE, 4, bits);
}

static inline void acknowledge(int device, uint32_t bits)
{
	say("acknowledge %#x\n", bits);
	poke(device, ACKNOWLEDGE, 4, bits);
}

/* Waits for a signal that is to come; and long enough to be sure where none is. */
static inline void await(int fd, int expected)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };

	poll(&one, 1, expected ? 5000 : 100);
	count(fd);
}

static inline void say_state(int device)
{
	say("  raised %#x, status bit %u, disable bit %u\n", (unsigned)peek(device, 0, INTERRUPTS, 4),
	    (unsigned)(peek(device, 7, 6, 2) >> 3 & 1), (unsigned)(peek(device, 7, 4, 2) >> 10 & 1));
}

static inline void settle(int device, uint64_t offset)
{
	for (unsigned i = 0; i < 5000 && peek(device, 0, offset, 4) & 1; i++)
		usleep(1000);
}

static inline void master(int device, int on)
{
	uint16_t command = on ? 6 : 2;

	if (pwrite(device, &command, 2, region_offset(device, 7) + 4) != 2)
		say("not written\n");
}

#endif
