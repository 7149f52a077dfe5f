"""Networks of additions that multiply by a constant matrix, smaller than one tree an output."""
