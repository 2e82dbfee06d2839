// SPDX-License-Identifier: Apache-2.0

// What Swift's own module for the C library lacks, or cannot call, because it takes variable arguments.

#ifndef CLINUX_H
#define CLINUX_H

#include <spawn.h>
#include <sys/epoll.h>
#include <sys/types.h>

/// Makes the process the parent of descendants whose own parent has ended; 0 or -1 and errno.
int clinux_become_subreaper(void);

/// As renameat, but fails with EEXIST when the new name is taken; 0 or -1 and errno.
int clinux_rename_noreplace(int from, const char *name, int to, const char *new_name);

/// Gives the memory of the program's code back; what is needed of it comes again from its file.
void clinux_release_code(void);

/// Has a program that is started get no open file from a number on; 0 or an error number.
int clinux_close_from(posix_spawn_file_actions_t *actions, int first);

/// Makes a pseudo terminal of a size; its own end, which is closed in programs that are run, or -1 and errno.
int clinux_open_terminal(unsigned short rows, unsigned short columns);

/// Tells the programs of a terminal its size; 0 or -1 and errno.
int clinux_resize_terminal(int terminal, unsigned short rows, unsigned short columns);

/// Runs a program as the leader of a session whose terminal this is; 0 or an error number.
int clinux_start_in_terminal(int terminal, pid_t *process, const char *program, char *const arguments[],
                             char *const environment[], const char *directory);

/// Forgets what was typed and not read, when the byte is one that stops the program in the terminal, as typing it would
/// do; whether it is one.
int clinux_flush_terminal_input(int terminal, unsigned char byte);

#endif
