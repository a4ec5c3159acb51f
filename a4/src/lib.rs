//! Documents on A4 as PDF/A: the authority's InvoiceA4 and the reports of a fiscal day (docs/FDMS.md
//! section 9). Nothing here does I/O or reads a clock: the same document always gives the same bytes.
