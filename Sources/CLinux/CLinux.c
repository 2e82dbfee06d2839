// SPDX-License-Identifier: Apache-2.0

#include "CLinux.h"
#include <sys/prctl.h>

int clinux_become_subreaper(void) {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}
