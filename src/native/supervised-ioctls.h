// ioctls whose result is a descriptor, which no FUSE reply can carry.
#pragma once

#include "notification.h"

void answerIoctl(Notification& call);
