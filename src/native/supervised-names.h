// What descriptors without a path are called: those that ioctls return.
#pragma once

#include "notification.h"

// `place` (Task::place) names a descriptor of a task, and the file behind it is one of ours that has no path. Its name is written to `name`.
constexpr size_t kNameRoom = 64;
bool findNameless(const Task& task, const char* place, char (&name)[kNameRoom]);

void answerReadlink(Notification& call);
