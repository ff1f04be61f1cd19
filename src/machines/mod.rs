//! What decides, without waiting: no clock, no randomness, no I/O, no `async`. `runtime` drives it.

pub mod shift;

pub mod hiring;
