//! The program `pingpong-node`.
//!
//! It is thin: the command line is read in `cli`, and what it does is in the library. A service uses the library instead.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod cluster;
mod demo;
mod text;

fn main() -> std::process::ExitCode {
    cli::main()
}
