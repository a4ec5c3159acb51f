//! owned_fields
