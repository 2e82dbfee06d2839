// SPDX-License-Identifier: Apache-2.0

// What Swift's own module for the C library lacks, or cannot call, because it takes variable arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <sys/epoll.h>

/// Makes the process the parent of descendants whose own parent has ended; 0 or -1 and errno.
int clinux_become_subreaper(void);

#endif
