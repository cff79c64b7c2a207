/* The manual akin(1) as scdoc source, from the option tables. */
#ifndef AKIN_CLI_MANUAL_H
#define AKIN_CLI_MANUAL_H

#include <stdio.h>

int cli_print_manual(FILE *out); /* an exit status */

#endif
