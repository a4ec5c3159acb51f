//! Documents as others read them: text and pictures taken out of the PDF by independent programs.

mod documents;
mod look;
mod samples;
mod tools;
mod unicode;
