// SPDX-License-Identifier: Apache-2.0

// What Swift's own module for the C library lacks, or cannot call, because it takes variable arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <sys/epoll.h>

/// Makes the process the parent of descendants whose own parent has ended; 0 or -1 and errno.
int clinux_become_subreaper(void);

/// As renameat, but fails with EEXIST when the new name is taken; 0 or -1 and errno.
int clinux_rename_noreplace(int from, const char *name, int to, const char *new_name);

/// Gives the memory of the program's code back; what is needed of it comes again from its file.
void clinux_release_code(void);

#endif
