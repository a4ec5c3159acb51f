//! The numbered SQL migrations.
