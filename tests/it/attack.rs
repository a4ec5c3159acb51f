//! Attacks, each as its attacker would make it, and what the gateway does about it. Who the attackers are, what they
//! want, and what is left to them is told in docs/SECURITY.md, which names these tests.

mod disk;
mod machine;
mod network;
mod page;
mod pos;
mod printer;
