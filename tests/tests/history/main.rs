//! Tests of the checker of histories: it refuses what is wrong, passes what is right, and agrees with an exact and slow oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test that says what it found

mod cross;
mod right;
mod script;
mod world;
mod wrong;
mod wrong_reads;
