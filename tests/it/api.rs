//! The API over real sockets: what is answered to whom, and what never happens.

mod access;
mod bad_input;
mod credit;
mod days;
mod document;
mod limits;
mod lines;
mod reading;
mod sales;
mod streams;
