/* As much of Zephyr's header as the example uses. */
#include <stdint.h>
#include <stdio.h>
#define printk printf
