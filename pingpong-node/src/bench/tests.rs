//! Benchmarks on nodes that say what they are told to say.

use super::conduct::{Case, Conducted, conduct};
#[cfg(feature = "daemon")]
use super::exercise::{Agreed, Kind, Level, Meanwhile, Outcome, Pings, Plan, Reads, Task};
use super::failover::Fault;
use super::node::{Times, Usage, Verdict};
use super::nodes::Nodes;
use super::options::Producers;
use super::protocol::{Beside, Besides, Order, Said};
use super::{abcast, calls};
use crate::cluster::{ClusterError, Interrupts, Signal, name};
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// What goes wrong on the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    Loses,
    Reorders,
    Doubles,
    /// A call has no answer.
    Fails,
    /// A link goes down, and nobody has cut it.
    Flaps,
    /// A node does not tell its peers everything before it leaves.
    LeavesEarly,
    /// Nobody answers.
    Hangs,
    /// A node says something else than it is asked.
    Babbles,
    /// The nodes do not end.
    NeverCloses,
}

/// Nodes that answer at once.
struct Model {
    flaw: Flaw,
    /// What each node was told, and has not answered.
    told: BTreeMap<usize, Order>,
    downs: u64,
}

impl Model {
    fn verdict(&self) -> Verdict {
        let of = |flaw| u64::from(self.flaw == flaw);
        let (lost, out_of_order, duplicates) = (of(Flaw::Loses), of(Flaw::Reorders), of(Flaw::Doubles));
        Verdict { lost, out_of_order, duplicates, done_us: 3_000_000 }
    }
}

#[cfg(feature = "daemon")]
impl Model {
    /// 100 pings or reads in 2 s, of 30 us each; a sync and a call take 10 us.
    fn exercise(&self, task: Task) -> Outcome {
        let failures = u64::from(self.flaw == Flaw::Fails);
        let times = Times { calls: 100, failures, elapsed_s: 2.0, p50_us: 30.0, ..Times::default() };
        let least = Times { calls: 200, elapsed_s: 2.0, p50_us: 10.0, ..Times::default() };
        match task {
            Task::Sync { .. } => Outcome::Synced(least),
            Task::Alone { .. } => Outcome::Alone { times, sync: Some(least), call: least, acknowledged: 100 },
            Task::Ping { .. } => Outcome::Pinged { times, acknowledged: 100 },
            Task::Read { .. } => Outcome::Read { times, unstable: 0 },
            Task::Count { pings, .. } => {
                let counted = match self.flaw {
                    Flaw::Loses => 99,
                    Flaw::Doubles => 101,
                    _ => 100,
                };
                Outcome::Counted(pings.into_keys().map(|producer| (producer, counted)).collect())
            }
            Task::Vote => Outcome::At(1),
            Task::Look => Outcome::Seen { at_us: 1, slots: 100, total: 100 },
        }
    }
}

impl Nodes for Model {
    const ONE_PROCESS: bool = false;

    fn number(&self) -> usize {
        2
    }

    async fn start(&mut self, _: usize) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn started(&mut self, _: usize) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn tell(&mut self, node: usize, _: &'static str, order: Order) -> Result<(), ClusterError> {
        // The first node sees what the last one does; the last one is always a new one.
        if matches!(order, Order::Changed { up: false, .. }) && node == 0 {
            self.downs += 1;
        }
        self.told.insert(node, order);
        Ok(())
    }

    async fn said(&mut self, node: usize) -> Result<Said, ClusterError> {
        match self.flaw {
            Flaw::Hangs => std::future::pending().await,
            Flaw::Babbles => return Ok(Said::Left { flushed: true }),
            _ => {}
        }
        let flaps = u64::from(self.flaw == Flaw::Flaps);
        Ok(match self.told.remove(&node).ok_or(ClusterError::NotRunning { node: name(node) })? {
            Order::Linked { .. } => Said::At(1),
            Order::Changed { since_us, .. } => Said::At(since_us + 5_000),
            Order::Produce { .. } => Said::Produced { first_us: 1_000_000, verdict: self.verdict() },
            Order::Call { beside, .. } => {
                let failures = u64::from(self.flaw == Flaw::Fails);
                let times = Times { calls: 100, failures, elapsed_s: 2.0, p50_us: 7.0, ..Times::default() };
                let verdict = self.verdict();
                let besides = Besides { casts_per_s: 1e6, backlog_bytes: 4_096, verdict };
                Said::Called { times, beside: (beside != Beside::None).then_some(besides) }
            }
            Order::Used => {
                let downs = if node == 0 { self.downs } else { 0 };
                self.downs += flaps;
                Said::Used { usage: Usage { cpu_us: 1_000_000, rss_bytes: 1, peak_bytes: 2 }, downs: downs + flaps }
            }
            #[cfg(feature = "daemon")]
            Order::Exercise(task) => Said::Exercise(self.exercise(task)),
            Order::Leave { .. } => Said::Left { flushed: self.flaw != Flaw::LeavesEarly },
        })
    }

    async fn rest(&mut self, time: Duration) -> Result<(), ClusterError> {
        tokio::time::sleep(time).await;
        Ok(())
    }

    async fn kill(&mut self, _: usize) -> Result<(), ClusterError> {
        Ok(())
    }

    fn cut(&mut self, _: usize) {}

    fn heal(&mut self) {}

    #[cfg(feature = "daemon")]
    fn store(&self, node: usize) -> Option<std::path::PathBuf> {
        Some(std::path::PathBuf::from(name(node)))
    }

    fn silent(&self) -> Option<ClusterError> {
        None
    }

    fn logs(&self) -> Vec<(String, String)> {
        vec![(name(0), "its last words".to_owned())]
    }

    fn running(&self) -> Vec<String> {
        vec![name(0)]
    }

    async fn close(&mut self) -> Result<(), ClusterError> {
        match self.flaw {
            Flaw::NeverCloses => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

/// Signals, each so long after it was begun to be waited for.
struct Script(Vec<(Duration, Signal)>);

impl Interrupts for Script {
    async fn next(&mut self) -> Signal {
        let Some((after, signal)) = self.0.first().copied() else { return std::future::pending().await };
        tokio::time::sleep(after).await;
        self.0.remove(0);
        signal
    }
}

fn cases() -> [Case; 4] {
    let plan = abcast::Plan { producers: Producers::One, payload: 16, deadline: PATIENCE };
    let calls = |beside| calls::Plan { callers: 1, beside, duration: PATIENCE, deadline: PATIENCE };
    [
        Case::Abcast(plan, 100),
        Case::Calls(calls(Beside::None)),
        Case::Calls(calls(Beside::Same)),
        Case::Faults(vec![Fault::Kill, Fault::Restart, Fault::Stop, Fault::Cut(PATIENCE)], PATIENCE),
    ]
}

async fn conducted(flaw: Flaw, case: &Case, signals: &[(Duration, Signal)]) -> Conducted {
    let model = std::future::ready(Ok(Model { flaw, told: BTreeMap::new(), downs: 0 }));
    conduct(model, case, PATIENCE, &mut Script(signals.to_vec())).await
}

#[cfg(feature = "daemon")]
fn of_exercise() -> Case {
    let pings = |level, clients| {
        let producers = Producers::All;
        Plan::Acks(Pings { level, clients, producers, store: "file", duration: PATIENCE, deadline: PATIENCE })
    };
    let reads =
        |beside| Plan::Reads(Reads { agreed: Agreed::Majority, readers: 1, beside, store: "file", duration: PATIENCE });
    let plans = vec![
        pings(Level::Local, 1),
        pings(Level::Majority, 1),
        pings(Level::Majority, 64),
        reads(Meanwhile::None),
        reads(Meanwhile::Pings),
    ];
    Case::Exercise(plans, Kind::File)
}

#[cfg(feature = "daemon")]
#[tokio::test(start_paused = true)]
async fn pings_that_are_missing_or_too_many_show_and_figures_are_ratios_to_what_was_measured_beside() {
    let case = of_exercise();
    assert_eq!(oks(Flaw::None, &case).await, [true; 5]);
    for flaw in [Flaw::Loses, Flaw::Doubles] {
        assert_eq!(oks(flaw, &case).await, [false, false, false, true, true], "{flaw:?}");
    }
    for flaw in [Flaw::Fails, Flaw::Flaps] {
        assert_eq!(oks(flaw, &case).await, [false; 5], "{flaw:?}");
    }
    let conducted = conducted(Flaw::None, &case, &[]).await;
    let figure = |measured: usize, name: &str| {
        let figures = &conducted.measured[measured].figures;
        figures.iter().find(|(other, _)| *other == name).unwrap().1.value()
    };
    assert_eq!([figure(0, "p50_to_least"), figure(1, "p50_to_least")], [3.0, 1.0], "a sync; two syncs and a call");
    assert_eq!([figure(2, "pings_per_s"), figure(2, "pings_to_syncs")], [100.0, 1.0], "of two nodes");
    assert_eq!([figure(3, "reads_to_calls"), figure(4, "pings_per_s")], [1.0, 50.0]);
}

/// Whether each measurement of a case is as it must be.
async fn oks(flaw: Flaw, case: &Case) -> Vec<bool> {
    let conducted = conducted(flaw, case, &[]).await;
    assert_eq!((conducted.error, conducted.signal), (None, None), "{flaw:?}");
    conducted.measured.iter().map(super::record::Measured::ok).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_right_are_found_right() {
    for case in cases() {
        assert!(oks(Flaw::None, &case).await.iter().all(|ok| *ok), "{case:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_flaw_shows_where_it_happens() {
    let [abcast, calls, beside, faults] = cases();
    for flaw in [Flaw::Loses, Flaw::Reorders, Flaw::Doubles] {
        for case in [&abcast, &beside] {
            assert_eq!(oks(flaw, case).await, [false], "{flaw:?}: {case:?}");
        }
    }
    for case in [&calls, &beside] {
        assert_eq!(oks(Flaw::Fails, case).await, [false]);
    }
    for case in [&abcast, &calls] {
        assert_eq!(oks(Flaw::Flaps, case).await, [false]);
    }
    assert_eq!(oks(Flaw::Flaps, &faults).await, [false; 4]);
    assert_eq!(oks(Flaw::LeavesEarly, &faults).await, [true, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_is_reckoned_is_what_the_nodes_say() {
    let [abcast, _, beside, faults] = cases();
    let figure = |conducted: &Conducted, measured: usize, name: &str| {
        let figures = &conducted.measured[measured].figures;
        figures.iter().find(|(other, _)| *other == name).unwrap().1.value()
    };
    let cast = conducted(Flaw::None, &abcast, &[]).await;
    assert_eq!((figure(&cast, 0, "pings_per_s"), cast.measured[0].common.elapsed_s), (50.0, 2.0));
    let called = conducted(Flaw::None, &beside, &[]).await;
    assert_eq!([figure(&called, 0, "calls_per_s"), figure(&called, 0, "backlog_bytes")], [50.0, 4_096.0]);
    let failed = conducted(Flaw::None, &faults, &[]).await;
    for fault in 0..4 {
        assert_eq!(figure(&failed, fault, "down_ms"), 5.0);
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_hang_or_babble_or_do_not_end_are_an_error_with_their_last_words() {
    let [abcast, ..] = cases();
    let errors = [
        (Flaw::Hangs, "the run has not ended within 10 s"),
        (Flaw::Babbles, "it says Left"),
        (Flaw::NeverCloses, "nodes n1 were killed, and have not ended within 5 s"),
    ];
    for (flaw, words) in errors {
        let conducted = conducted(flaw, &abcast, &[]).await;
        assert!(conducted.error.as_ref().unwrap().contains(words), "{conducted:?}");
        assert_eq!(conducted.logs.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_the_measurement_and_a_second_one_ends_the_waiting() {
    let [abcast, ..] = cases();
    let second = Duration::from_secs(1);
    let ended = conducted(Flaw::Hangs, &abcast, &[(second, Signal::Interrupt)]).await;
    assert_eq!((ended.signal, ended.error), (Some(Signal::Interrupt), None));
    let signals = [(second, Signal::Interrupt), (second, Signal::Quit)];
    let left = conducted(Flaw::NeverCloses, &abcast, &signals).await;
    assert_eq!(left.signal, Some(Signal::Interrupt));
    assert!(left.error.unwrap().contains("left at once by SIGQUIT, while nodes n1"));
}
