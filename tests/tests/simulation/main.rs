//! The real Producer, Consumer, Member and Mesh in a simulated world: one seed, one run, the same every time.
//!
//! Each seed draws a plan (a list of faults and of what clients ask for), carries it out on the in-memory network under the paused clock, heals
//! everything, and checks the history of all clients. What the plan may do: see [`plan::Step`].
//!
//! It is no proof, and no test of QUIC, of the file store or of real time. What it takes for granted is what the protocol does: disks keep what
//! they said they had synced, and go back to an earlier copy only where that is noticed (CANNOT 7, [`copies`]), fewer stores than a majority are lost at once (P12) unless a person accepts it (CANNOT 6, [`disaster`]), epochs grow.
//!
//! | command | what it does |
//! | --- | --- |
//! | `cargo test -p pingpong-conformance --test simulation` | 500 seeds |
//! | `SEEDS=5000 cargo test ...` | so many; `FROM=301` begins there |
//! | `SECONDS=600 cargo test ...` | as many as it can in that time |
//! | `SEED=17 cargo test ...` | that one; if it fails, its shrunk plan and its trace |
//!
//! | module | what it is |
//! | --- | --- |
//! | `plan`, `draw`, `ploys`, `dice` | what a run will do, and how it is drawn |
//! | `world`, `faults`, `store`, `copies`, `disaster`, `client`, `record`, `signal` | nodes, what befalls them, disks and clients, and what happened |
//! | `run`, `settle` | one plan carried out, to its end |
//! | `shrink`, `seeds` | a failing plan made small; many seeds |

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // helpers of tests

mod client;
mod copies;
mod dice;
mod disaster;
#[path = "../support/disk.rs"]
mod disk;
mod draw;
mod faults;
#[path = "../support/mod.rs"]
mod mem_harness;
mod plan;
mod ploys;
mod record;
#[path = "../support/report.rs"]
mod report;
mod run;
mod seeds;
mod settle;
mod shrink;
mod signal;
mod store;
mod world;

use seeds::Which;
use std::time::Duration;

/// Seeds that are tried when nobody says how many.
const SEEDS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

fn which() -> Which {
    let from = number("FROM").unwrap_or(1);
    match (number("SEED"), number("SECONDS")) {
        (Some(seed), _) => Which::Range(seed, seed),
        (None, Some(seconds)) => Which::For(from, Duration::from_secs(seconds)),
        (None, None) => Which::Range(from, from + number("SEEDS").unwrap_or(SEEDS) - 1),
    }
}

#[test]
fn whatever_fails_counts_are_as_promised() {
    let which = which();
    let tried = seeds::try_all(which);
    report::report("simulation", "seeds", tried.text());
    let Some((seed, words)) = tried.failed.first() else { return };
    let plan = if tried.hangs.is_some() {
        format!("its plan:\n{}", draw::draw(*seed))
    } else {
        let (plan, ran) = shrink::shrink(draw::draw(*seed));
        let mut text = format!("its plan, shrunk; it fails so:\n{}\n\n{plan}", ran.outcome.err().unwrap_or_default());
        if matches!(which, Which::Range(first, last) if first == last) {
            text += &format!("\n\nwhat happened:\n{}", ran.kept.text());
        }
        text
    };
    panic!(
        "seeds that fail: {:?}, of the {} that were tried\n{words}\n\nthe first one again:\n    \
         SEED={seed} cargo test -p pingpong-conformance --test simulation whatever\n\n{plan}",
        tried.failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>(),
        tried.seeds,
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=number("TWICE").unwrap_or(20) {
        let plan = draw::draw(seed);
        let (first, second) = (run::run(&plan).kept.text(), run::run(&plan).kept.text());
        assert!(first.lines().count() > 100, "the run was busy:\n{first}");
        let differs = first.lines().zip(second.lines()).find(|(one, other)| one != other);
        assert!(first == second, "seed {seed}: {differs:?}");
    }
}
