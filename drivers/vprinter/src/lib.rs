//! A receipt printer made of software, for tests: what it prints is the judge of what our drivers believe.
//!
//! It shares no code with `drivers`: it reads ESC/POS by itself, as a printer does.
