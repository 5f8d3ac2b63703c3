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
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(name), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: unix DIR NAME".into());
    };
    node::run(dir.as_ref(), &name)
}

#[cfg(not(target_os = "linux"))]
fn main() {}
