//! A transport of one's own, between real processes: `docs/write-a-transport.md` leads through it.
//!
//! `cargo run -p pingpong-conformance --example unix -- DIR NAME` in several terminals, each with a NAME of its own: nodes that meet at
//! sockets in that directory, print who comes and goes, and end with their input (Ctrl-D).

#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod node;
#[cfg(all(test, target_os = "linux"))]
mod tests;

#[cfg(target_os = "linux")]
#[allow(clippy::print_stderr)] // it is a program
fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(dir), Some(name), None) => node::run(dir.as_ref(), &name),
        _ => Err("usage: unix DIR NAME".into()),
    };
    let Err(error) = done else { return std::process::ExitCode::SUCCESS };
    eprintln!("{error}");
    std::process::ExitCode::FAILURE
}

#[cfg(not(target_os = "linux"))]
fn main() {}
