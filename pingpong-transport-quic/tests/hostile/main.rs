//! Hostile peers: strangers without a certificate of the cluster, and members that break every rule of `docs/wire.md`.
//!
//! The peers are written by hand from that page, byte by byte, and share nothing with the project's encoders: so the page is proved
//! too. What they attack is a node in a process of its own, whose heap and processor time are therefore its alone; beside each attack a
//! good node stays linked to it, and what the two say to each other must arrive, in order. `docs/security.md` has the figures.
//!
//! This binary is both the tests and, told so by its first argument, the node.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "the node answers there, and the tests print figures")]

mod bytes;
mod control;
mod good;
mod hello;
mod lanes;
mod node;
mod peer;
mod stage;
mod strangers;

use libtest_mimic::{Arguments, Trial};
use peak_alloc::PeakAlloc;
use std::process::ExitCode;
use std::time::Duration;

/// Counts the node's bytes: what is asked for, not what the system gives for it.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const SECOND: Duration = Duration::from_secs(1);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const ANY: &str = "127.0.0.1:0";

/// An event that must come; late is as bad as never.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(20 * SECOND, what).await.expect("in time")
}

/// A test on a runtime of its own.
fn trial<F: Future<Output = ()> + 'static>(name: &str, story: fn() -> F) -> Trial {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(story());
        runtime.shutdown_timeout(SECOND);
        Ok(())
    };
    Trial::test(name, run)
}

/// Names tests by their functions.
#[macro_export]
macro_rules! trials {
    ($($story:ident),+ $(,)?) => {
        /// The tests of this module.
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$($crate::trial(stringify!($story), $story)),+]
        }
    };
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == node::ORDER).is_some() {
        return node::main(arguments);
    }
    let trials = [strangers::trials(), hello::trials(), control::trials(), lanes::trials()];
    let mut arguments = Arguments::from_args();
    // They wait for deadlines most of the time.
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
