//! The model of the session protocol: the very machine that production uses, in every world of its kind.
//!
//! Each test explores one world to its end, or switches one rule off and must find what goes wrong without it. It prints
//! the number of distinct states and the time. `MODEL=full` gives some of the worlds a dial more, and walks a
//! hundred times as far; that takes minutes, and some gigabytes.

#![forbid(unsafe_code)]
// A test crate: it reports to the terminal, and a world that cannot be built is a failed test.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod run;
mod shared;
mod steps;
mod watch;
mod world;
mod worlds;

use pingpong_core::session::{Rule, Rules};
use run::{finds, holds, walks};
use world::World;

fn without(rule: Rule, world: World) -> World {
    World { rules: Rules::ALL.without(rule), ..world }
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
    bridge: worlds::bridge();
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
