// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ptwalk_pfn.ko needs of lib/.  These files are included because Kbuild does
 * not want an object in two modules.
 */
#include "../lib/addrspace.c"
#include "../lib/crew.c"
#include "../lib/file.c"
