// The calls that tell what a file is.
#pragma once

#include <sys/types.h>

#include "notification.h"

// The file systems of pretend hosts. Thread-safe.
void addOwnFilesystem(dev_t device);
bool isOwnFilesystem(dev_t device);

// For the system call numbers they are named by; each answers its notification.
void answerStat(Notification& call);
void answerStatfs(Notification& call);
