//! Two-line customer displays.
