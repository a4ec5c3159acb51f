//! Tremol ZFP: the other fiscal printer's language.
