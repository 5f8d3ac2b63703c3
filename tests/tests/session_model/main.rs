//! The model of the session protocol: the very machine that production uses, in every world of its kind.
//!
//! Each test explores one world to its end, or switches one rule off and must find what goes wrong without it. It prints
//! the number of distinct states and the time. `MODEL=full` widens the bounds of the largest worlds from what fits into a
//! build to what was exhausted once.

mod run;
mod shared;
mod steps;
mod watch;
mod world;
mod worlds;

use pingpong_core::session::{Rule, Rules};
use run::{finds, holds};
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
    undetected: worlds::undetected();
    one_way: worlds::one_way();
    other_way: worlds::other_way();
    restart: worlds::restart();
    restart_verdict: worlds::restart_verdict();
    ghost: worlds::ghost();
    ghost_low: worlds::ghost_low();
    leave: worlds::leave();
    leave_both: worlds::leave_both();
    twice: worlds::twice();
    twice_low: worlds::twice_low();
    twice_meet: worlds::twice_meet();
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
    bug_each_acceptor_chooses: OneChooser off in worlds::two(), breaks "";
    bug_own_dial_first: IgnoreOwnDial off in worlds::one_way(), breaks "";
    bug_many_offers: OneOffer off in worlds::simultaneous(), breaks "";
    bug_late_take: Numbered off in worlds::late(), breaks "";
    bug_up_at_take: UpAtReady off in worlds::ghost(), breaks "";
    bug_lanes_at_once: LanesWait off in worlds::simultaneous(), breaks "";
    bug_held_ignored: HeldCounts off in worlds::undetected(), breaks "";
    bug_held_stale: HeldIsFresh off in worlds::simultaneous(), breaks "";
    bug_silent_take: TakeIsDown off in worlds::verdicts(), breaks "";
    bug_replaced_at_hello: ReplaceAtAnswer off in worlds::ghost(), breaks "";
    bug_replaced_by_stale_take: TakeIsFresh off in worlds::ghost_low(), breaks "";
    bug_older_accepted: RefuseOlder off in worlds::restart(), breaks "";
    bug_no_probe: Probe off in worlds::restart(), breaks "";
    bug_raise_blindly: ProbeFirst off in worlds::twice(), breaks "";
    bug_no_raise: Raise off in worlds::restart(), breaks "";
    bug_raise_keeps_sessions: RaiseEndsSessions off in worlds::twice_raise(), breaks "";
    bug_goodbye_at_once: GoodbyeWaits off in worlds::leave(), breaks "";
    bug_no_exchange: Exchange off in worlds::exchange(), breaks "";
}
