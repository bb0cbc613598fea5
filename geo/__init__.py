"""Arrays in, arrays out: geometry on earth, filters, routes, ETA. No state between calls, no clock, no I/O."""
