//! ESC/POS: pages as bytes, status as facts.
