//! Datecs ISL: the fiscal printer that much POS software of the region drives.
