/* The region marker as a function of a shared library, for programs in Python. */
#include "edgec_region.h"

void region(void)
{
    edgec_region();
}
