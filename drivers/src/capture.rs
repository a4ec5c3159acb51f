//! Old POS software that prints: the gateway stands where it expects its printer.
