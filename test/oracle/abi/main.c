/* usage: abi SCENARIO > transcript */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
#define SCENARIO(name) { #name, scenario_##name },
	SCENARIOS
#undef SCENARIO
};

static void memory(uint64_t address, uint64_t length, int protection)
{
	void *want = (void *)address;

	if (mmap(want, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0) != want ||
	    mprotect(want, length, protection)) {
		perror("mmap");
		exit(1);
	}
}

int main(int count, char **arguments)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (count == 2 && !strcmp(arguments[1], "list")) {
		for (size_t i = 0; i < LENGTH(scenarios); i++)
			puts(scenarios[i].name);
		return 0;
	}
	memory(MEM, MEM_SIZE, PROT_READ | PROT_WRITE);
	memory(READONLY_MEM, 0x10000, PROT_READ);
	alarm(300);
	for (size_t i = 0; count == 2 && i < LENGTH(scenarios); i++)
		if (!strcmp(arguments[1], scenarios[i].name)) {
			scenarios[i].run();
			return 0;
		}
	fprintf(stderr, "usage: abi SCENARIO, or list\n");
	return 2;
}
