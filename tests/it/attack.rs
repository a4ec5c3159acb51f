//! Attacks, each as its attacker would make it, and what the gateway does about it. Who the attackers are, what they
//! want, and what is left to them is told in docs/SECURITY.md, which names these tests.

mod bombs;
mod certificates;
mod disk;
mod fields;
mod machine;
mod many;
mod network;
mod page;
mod paths;
mod pdf;
mod pos;
mod printer;
mod slow;
mod smuggling;
mod stranger;
mod tokens;
mod wire;
