//! The model of the session protocol: the very machine that production uses, in every world of its kind.
//!
//! Each test explores one world to its end, or switches one rule off and must find what goes wrong without it. What it found,
//! with the number of distinct states and the time, is printed, and kept in `reports/session-model.txt` of cargo's directory
//! for tests. `MODEL=full` gives some of the worlds a fault or a dial more, and walks a hundred times as far; that takes
//! minutes, and some gigabytes.
//!
//! # Where the faults of a network are
//!
//! The machine never sees a packet. A connection is a reliable stream each way (L2), so what packets suffer shows as this:
//!
//! | on the network | in the model |
//! | --- | --- |
//! | late, reordered | within a stream impossible; between streams, and between connections, every order is tried: each queue is read at any time |
//! | duplicated | within a stream impossible; a *handshake* that comes twice is a further dial of the same node (`Dial`, `LateDial`), which may complete after the first one, or after its writer died |
//! | lost, for a while | any delay of the queues, with a verdict on either side at any moment (`Verdict`) |
//! | lost for good | the close that is lost (`LoseClose`), and the silence that only the own detector ends (`Silence`) |
//! | late beyond the end of its connection | what was written before a close is still read at the other end, or the close overtakes it |
//! | from a dead process | whatever a crashed instance wrote stays in the queues (`Crash`); the restart may have a smaller incarnation (`RestartBack`) |
//! | cut one way | a verdict at one end alone, and a `reach` that lets one side dial alone |
//!
//! # Bounds
//!
//! Two names in most worlds, three for the exchange of addresses, four instances where two share a name; one or two faults.
//! Restarts among three names are exhausted with one crash of any of them, and with `MODEL=full` a verdict besides. Goodbyes
//! and `forget` are exhausted between two names. More faults at once are left to the walks; redial times and addresses have
//! tests of their own, and meet the machine in the simulation of whole nodes.

#![forbid(unsafe_code)]
// A test crate: it reports to the terminal, and a world that cannot be built is a failed test.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/report.rs"]
mod report;
mod run;
mod shared;
mod steps;
mod watch;
mod world;
mod worlds;

use pingpong_core::session::Rule;
use run::{finds, holds, walks};
use world::World;

fn without(rule: Rule, world: World) -> World {
    World { rules: world.rules.without(rule), ..world }
}

macro_rules! hold {
    ($($name:ident: $world:expr;)*) => {
        $(#[test] fn $name() { holds(stringify!($name), $world); })*
    };
}

macro_rules! bug {
    ($($name:ident: $rule:ident off in $world:expr, breaks $promise:literal;)*) => {
        $(#[test] fn $name() { finds(stringify!($name), $promise, without(Rule::$rule, $world)); })*
    };
}

hold! {
    simultaneous: worlds::simultaneous();
    verdicts: worlds::verdicts();
    late: worlds::late();
    no_spares: without(Rule::KeepSpares, worlds::verdicts());
    all_at_once: worlds::all_at_once();
    undetected: worlds::undetected();
    one_way: worlds::one_way();
    other_way: worlds::other_way();
    restart: worlds::restart();
    restart_verdict: worlds::restart_verdict();
    ghost: worlds::ghost();
    ghost_low: worlds::ghost_low();
    leave: worlds::leave();
    leave_both: worlds::leave_both();
    forget: worlds::forget();
    twice: worlds::twice();
    twice_low: worlds::twice_low();
    twice_meet: worlds::twice_meet();
    twice_parked: worlds::twice_parked();
    twice_two: worlds::twice_two();
    twice_raise: worlds::twice_raise();
    twice_crash: worlds::twice_crash();
    stop_blind: without(Rule::StopCompares, worlds::twice_raise());
    exchange: worlds::exchange();
    told_late: worlds::told_late();
    told_late_verdict: worlds::and_a_verdict(worlds::told_late());
    bridge: worlds::bridge();
    exchange_restart: worlds::exchange_restart();
    bridge_restart: worlds::bridge_restart();
    exchange_verdict: worlds::and_a_verdict(worlds::exchange());
    bridge_verdict: worlds::and_a_verdict(worlds::bridge());
}

bug! {
    bug_each_acceptor_chooses: OneChooser off in worlds::two(), breaks "a Down without a fault";
    bug_own_dial_first: IgnoreOwnDial off in worlds::one_way(), breaks "nothing left to do";
    bug_many_offers: OneOffer off in worlds::simultaneous(), breaks "a Down without a fault";
    bug_late_take: Numbered off in worlds::late(), breaks "an older session";
    bug_up_at_take: UpAtReady off in worlds::ghost(), breaks "before the peer answered";
    bug_lanes_at_once: LanesWait off in worlds::simultaneous(), breaks "outside its session";
    bug_held_ignored: HeldCounts off in worlds::undetected(), breaks "nothing left to do";
    bug_held_stale: HeldIsFresh off in worlds::simultaneous(), breaks "a Down without a fault";
    bug_silent_take: TakeIsDown off in worlds::verdicts(), breaks "two Ups";
    bug_replaced_at_hello: ReplaceAtAnswer off in worlds::ghost(), breaks "not alive beside it";
    bug_replaced_by_stale_take: TakeIsFresh off in worlds::ghost_low(), breaks "not alive beside it";
    bug_older_accepted: RefuseOlder off in worlds::restart(), breaks "an older incarnation";
    bug_no_probe: Probe off in worlds::restart(), breaks "not alive beside it";
    bug_raise_blindly: ProbeFirst off in worlds::twice(), breaks "the newer one was stopped";
    bug_no_raise: Raise off in worlds::restart(), breaks "nothing left to do";
    bug_raise_keeps_sessions: RaiseEndsSessions off in worlds::twice_raise(), breaks "nothing left to do";
    bug_goodbye_at_once: GoodbyeWaits off in worlds::leave(), breaks "said to be flushed";
    bug_no_exchange: Exchange off in worlds::exchange(), breaks "nothing left to do";
    bug_asks_once: Compare off in worlds::told_late(), breaks "nothing left to do";
    bug_read_for_ever: ReadAgain off in worlds::and_a_verdict(worlds::told_late()), breaks "nothing left to do";
}

#[test]
fn walk_two() {
    walks("walk_two", worlds::walk_two());
}

#[test]
fn walk_twice() {
    walks("walk_twice", worlds::walk_twice());
}

#[test]
fn walk_three() {
    walks("walk_three", worlds::walk_three());
}
