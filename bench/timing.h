/* Time and order statistics for the benchmark clients. */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts `taken` and gives its value at `percent` of 100. */
static inline uint64_t percentile(uint64_t *taken, size_t count, unsigned int percent)
{
	qsort(taken, count, sizeof *taken, ascending);
	return taken[count * percent / 100];
}

#endif
