// The system calls that a supervised command must not make on its own, as a seccomp filter.
#pragma once

// Installs it for the calling thread and its children to come. Returns the descriptor of the listener, or -errno: EBUSY when somebody listens
// already.
int listenToOwnCalls();
