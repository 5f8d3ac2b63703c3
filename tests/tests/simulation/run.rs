//! One plan, carried out: the real code on the in-memory network, under the paused clock, on one thread.

use crate::client;
use crate::mem_harness::MemHarness;
use crate::plan::{Name, Plan};
use crate::record::{Kept, Record};
use crate::settle::settle;
use crate::world::World;
use pingpong_conformance::Harness;
use pingpong_conformance::history::{Summary, check};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long a run may take by its own clock.
const LIMIT: Duration = Duration::from_secs(600);

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) outcome: Result<Summary, String>,
    pub(crate) kept: Kept,
}

/// Carries out a plan. The same plan gives the same trace.
pub(crate) fn run(plan: &Plan) -> Ran {
    let harness = MemHarness::rough(plan.setup.seed, plan.setup.jitter);
    let runtime = harness.runtime();
    let record: OnceLock<Arc<Record>> = OnceLock::new();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let record = record.get_or_init(|| Arc::new(Record::new()));
            tokio::time::timeout(LIMIT, carry_out(plan, record, harness)).await.is_ok()
        })
    }));
    runtime.shutdown_background();
    let Some(record) = record.get() else {
        return Ran { outcome: Err("it did not begin".to_owned()), kept: Kept::default() };
    };
    let kept = record.take();
    let outcome = match (ended, kept.wrong()) {
        (Err(payload), _) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words");
            Err(format!("a panic: {text}"))
        }
        (Ok(false), _) => Err(format!("it did not end within {LIMIT:?}")),
        // What clients saw tells more than what they did not.
        (Ok(true), wrong) => match check(&kept.history()) {
            Err(violation) => Err(violation.to_string()),
            Ok(summary) => wrong.map_or(Ok(summary), Err),
        },
    };
    Ran { outcome, kept }
}

async fn carry_out(plan: &Plan, record: &Arc<Record>, harness: MemHarness) {
    let (mut world, mut troubled) = World::new(&plan.setup, record, harness);
    world.calm().await;
    for name in world.names() {
        world.start(name).await;
    }
    // Nobody can ask for the pings of a node that nobody has heard of.
    world.all_know_all().await;
    record.plan_begins();
    let mut clients = JoinSet::new();
    for client in &plan.clients {
        let (now, record) = (world.watch(client.node), Arc::clone(record));
        clients.spawn(client::run(client.clone(), record, now, plan.silent));
    }
    for (at, step) in &plan.steps {
        until(&mut world, &mut troubled, *at).await;
        world.step(step).await;
    }
    until(&mut world, &mut troubled, plan.end).await;
    record.note("all is well again".to_owned());
    let settling = async {
        settle(&mut world, &mut troubled, plan.hub, clients).await;
        world.end().await;
    };
    settling.await;
}

/// Lets time pass; who cannot go on is started again meanwhile.
async fn until(world: &mut World, troubled: &mut mpsc::Receiver<Name>, at: Duration) {
    let at = world.record.start() + at;
    loop {
        tokio::select! {
            biased;
            Some(name) = troubled.recv() => world.restart(name).await,
            () = tokio::time::sleep_until(at) => return,
        }
    }
}
