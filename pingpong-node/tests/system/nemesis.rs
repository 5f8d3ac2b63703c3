//! Processes that count, over QUIC and with files, and a nemesis: `kill -9`, stops, cuts, partitions, delays, full disks and lost files at
//! random, for as long as `NEMESIS_SECONDS` in the environment says; 60 s if it says nothing. `NEMESIS_SEED` draws the same faults again, at about the same time.
//!
//! Clients of all nodes ping and read at all levels meanwhile. What they saw is checked as histories of the simulation are: it must be
//! explained by counts that are kept as promised (`docs/counts.md`). At last all is healed, and all nodes must have the same in their
//! files, and answer at every level.
//!
//! What happened is told in `target/tmp/reports/nemesis.txt`; if something is wrong, the history and the nodes' logs are there, too.
//!
//! | part | what it is |
//! | --- | --- |
//! | `clients` | who asks for what |
//! | `faults` | what happens to the nodes, and the rules of it |
//! | `world` | the processes, their files, and the paths between them |
//! | `settle` | the end, when all must agree |

mod clients;
mod faults;
mod settle;
mod world;

use crate::lab::{setting, write_report};
use crate::node::LONG;
use clients::Clients;
use faults::Nemesis;
use pingpong_conformance::history::{Summary, check};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use world::{NODES, World};

/// A run of at least so many seconds has seen all kinds of faults.
const ENOUGH: u64 = 60;

#[tokio::test]
async fn what_clients_see_of_processes_is_right_whatever_happens_to_them() {
    let seconds = setting("NEMESIS_SECONDS").unwrap_or(ENOUGH);
    let seed = setting("NEMESIS_SEED").unwrap_or_else(rand::random);
    println!("NEMESIS_SEED={seed}");
    let mut world = World::start().await;
    world.calm().await;
    let clients = Clients::start(&world, seed);
    let mut nemesis = Nemesis::new(StdRng::seed_from_u64(seed), &world);
    let (began, length) = (Instant::now(), Duration::from_secs(seconds));
    while began.elapsed() < length || (seconds >= ENOUGH && !nemesis.has_done_all()) {
        nemesis.next(&mut world).await;
        assert!(began.elapsed() < 2 * length + LONG, "not all faults have happened yet: {:?}", nemesis.happened());
    }
    let lasted = began.elapsed();
    settle::settle(&mut world, clients).await;

    let (history, began) = (world.record.history(), Instant::now());
    let checked = check(&history);
    let took = began.elapsed();
    let found = match &checked {
        Ok(summary) => summary.to_string(),
        Err(violation) => format!("VIOLATION: {violation}"),
    };
    let report = format!(
        "NEMESIS_SEED={seed}: {lasted:.1?} of faults, {} processes killed\nfaults: {:?}\n{found}\nchecked in {took:.1?}\n",
        world.kills,
        nemesis.happened(),
    );
    println!("{report}");
    write_report("nemesis.txt", &report);
    let summary = checked.unwrap_or_else(|violation| panic!("NEMESIS_SEED={seed}: {violation}"));
    if seconds >= ENOUGH {
        was_worth_it(&summary);
    }
}

/// All kinds of operations were answered while there were faults: more often than they are at the end.
fn was_worth_it(summary: &Summary) {
    let [queued, local, majority] = summary.acknowledged;
    let at_the_end = settle::ROUNDS * NODES;
    let answered = summary.reads.into_iter().chain([local, majority, summary.confirmed, summary.exact]);
    assert!(queued > 0 && answered.into_iter().all(|count| count > at_the_end), "{summary}");
    // That a kill finds pings on their way is likely, not certain; `kills` sees to that.
    assert!(summary.refused > 0 && summary.lost > 0, "{summary}");
}
