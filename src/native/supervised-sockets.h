// Sockets that hear of devices (NETLINK_KOBJECT_UEVENT).
#pragma once

#include "notification.h"

// Gives the caller one that hears of the devices in the /sys that it sees.
void answerSocket(Notification& call);
