//! What a fiscal printer does, whatever its frames look like.
