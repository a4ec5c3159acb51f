//! Fiscal printers seen from the software that drives them: ISL and ZFP, their commands in its words, long days
//! over bad lines, any bytes at all, and the runners over a link.

mod any;
mod days;
mod play;
mod serve;
mod shop;
mod words;
mod zfp;
mod zfp_days;
