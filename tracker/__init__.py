"""The engine: state and rules; bytes and arrays in, events out. No I/O, no clock."""
