//! Faults that belong together: each is a way in which a cluster could be led to count wrongly, with names and times from the dice.
//!
//! Steps at random find most mistakes after a while; these find soon what takes several faults in one order.

use crate::draw::{Script, millis};
use crate::plan::{Fate, Manner, Name, OUTSIDER, Server, Step};
use std::time::Duration;

/// One of them.
pub(crate) fn any(script: &mut Script) {
    match script.dice.from(0..=12) {
        0 | 1 => changed_sides(script),
        2 | 3 => old_voice(script),
        4 => deaf(script),
        5 => bridge(script),
        6 | 7 => killed_while_it_stores(script),
        8 => full(script),
        9 => crashes(script),
        10 | 11 => old_copy(script),
        _ => disaster(script),
    }
}

/// A majority acknowledges; one of it loses its disk and votes with the others (P23).
fn changed_sides(script: &mut Script) {
    let members = script.dice.shuffled(script.setup.members());
    let quorum = members.len() / 2 + 1;
    let (first, second) = members.split_at(quorum);
    let lost = first[0];
    let with_outsider = |group: &[Name], has: bool, script: &Script| -> Vec<Name> {
        group.iter().copied().chain((has && script.setup.outsider).then_some(OUTSIDER)).collect()
    };
    let outsider = script.dice.percent(50);
    let groups = vec![with_outsider(first, outsider, script), with_outsider(second, !outsider, script)];
    script.step(Step::Split(groups));
    script.after(1_500, 4_500);
    let in_flight = script.in_flight();
    script.step(Step::Kill(lost, Fate::Lost, in_flight));
    let others: Vec<Name> = second.iter().copied().chain([lost]).collect();
    let outsider = script.dice.percent(50);
    let groups = vec![with_outsider(&first[1..], outsider, script), with_outsider(&others, !outsider, script)];
    if script.dice.percent(50) {
        script.after(0, 500);
    }
    script.step(Step::Split(groups));
    script.after(0, 300);
    script.step(Step::Start(lost));
    script.after(1_500, 5_000);
    script.step(Step::HealAll);
    script.after(500, 2_500);
}

/// One of those who said that they hold a ping loses it, and recovers from others who have not got it; then one of those gets it (P24).
fn old_voice(script: &mut Script) {
    let members = script.dice.shuffled(script.setup.members());
    // Who pings votes as well if there are five members: it holds its own pings, and needs two more.
    let writer = if script.setup.outsider && (members.len() == 3 || script.dice.percent(50)) {
        OUTSIDER
    } else {
        members[members.len() - 1]
    };
    let others: Vec<Name> = members.iter().copied().filter(|member| *member != writer).collect();
    let (lost, late) = (others[0], others[1]);
    let without = |out: &[Name]| -> Vec<Name> { others.iter().copied().filter(|name| !out.contains(name)).collect() };
    script.step(Step::Split(vec![vec![writer, lost], without(&[lost])]));
    script.after(2_000, 4_000);
    let in_flight = script.in_flight();
    script.step(Step::Kill(lost, Fate::Lost, in_flight));
    script.step(Step::Split(vec![vec![writer], others.clone()]));
    script.after(5, 200);
    script.step(Step::Start(lost));
    script.after(800, 2_500);
    script.step(Step::Split(vec![vec![writer, late], without(&[late])]));
    script.after(1_500, 4_000);
    script.step(Step::HealAll);
    script.after(500, 2_000);
}

/// A node's servers are away for a while, and its questions after that come back too late (P14).
fn deaf(script: &mut Script) {
    let name = script.name();
    script.step(Step::StopServers(name));
    script.after(300, 3_000);
    asks_in_vain(name, script);
    script.after(0, 1_000);
}

/// What no later ping may make good. Returns when clients are to fall silent.
pub(crate) fn at_last(script: &mut Script) -> Duration {
    if script.dice.percent(60) { deaf_at_last(script) } else { left_at_last(script) }
}

/// A producer crashes while its disk is at work on its last pings: they are counted, and it must still tell them (P16).
fn left_at_last(script: &mut Script) -> Duration {
    let name = if script.setup.outsider && script.dice.percent(60) { OUTSIDER } else { script.name() };
    let latency = millis(script.dice.from(300..=2_000));
    script.step(Step::Start(name));
    script.step(Step::Disk(name, Manner::Slow(latency)));
    script.after(500, 3_000);
    let silent = script.now();
    script.after(0, 200);
    script.step(Step::Crash(name, Server::Producer));
    script.after(2_000, 4_000);
    silent
}

/// As `deaf`, and the pings of that while were the last ones.
fn deaf_at_last(script: &mut Script) -> Duration {
    let name = if script.setup.outsider && script.dice.percent(60) { OUTSIDER } else { script.name() };
    script.step(Step::Start(name));
    script.after(500, 1_000);
    script.step(Step::StopServers(name));
    script.after(300, 2_000);
    let silent = script.now();
    script.after(1_200, 3_000);
    asks_in_vain(name, script);
    silent
}

/// Servers start while packets take so long that no answer comes in time.
fn asks_in_vain(name: Name, script: &mut Script) {
    let far = script.setup.ask_deadline / 2 + millis(script.dice.from(20..=200));
    script.step(Step::Far(name, far));
    script.after(0, 200);
    script.step(Step::Start(name));
    script.after(800, 2_500);
    script.step(Step::Calm);
}

/// The others hear of each other through one member alone (P16), and one of them goes.
fn bridge(script: &mut Script) {
    let (hub, name) = (script.member(), script.name());
    script.step(Step::Star(hub));
    script.after(2_500, 5_000);
    let (fate, in_flight) = (script.dice.one(&[Fate::Kept, Fate::Lost]), script.in_flight());
    script.step(Step::Kill(name, fate, in_flight));
    script.after(100, 2_000);
    script.step(Step::HealAll);
    script.after(100, 2_000);
    script.step(Step::Start(name));
    script.after(100, 1_000);
}

/// A node dies while its disk is at work, and is back soon (P2, P7).
fn killed_while_it_stores(script: &mut Script) {
    let name = script.name();
    let manner = match script.dice.from(0..=3) {
        0 => Manner::HeldBefore,
        1 => Manner::HeldAfter,
        _ => Manner::Slow(millis(script.dice.from(30..=400))),
    };
    script.step(Step::Disk(name, manner));
    script.after(50, 1_500);
    let in_flight = script.in_flight();
    script.step(Step::Kill(name, Fate::Kept, in_flight));
    script.after(10, 1_500);
    script.step(Step::Start(name));
    script.after(100, 1_000);
}

/// There is no room for a while, and the node may die meanwhile (P6).
fn full(script: &mut Script) {
    let name = script.name();
    script.step(Step::Disk(name, Manner::Full));
    script.after(200, 2_500);
    if script.dice.percent(50) {
        let in_flight = script.in_flight();
        script.step(Step::Kill(name, Fate::Kept, in_flight));
        script.after(10, 500);
        script.step(Step::Start(name));
    } else {
        script.step(Step::Disk(name, Manner::Well));
    }
    script.after(100, 1_000);
}

/// Its servers crash, one after the other; while its disk is at work, in half of the cases: what they gave to it is in no server's hands then.
fn crashes(script: &mut Script) {
    let name = script.name();
    let slow = script.dice.percent(50);
    if slow {
        let latency = millis(script.dice.from(100..=1_500));
        script.step(Step::Disk(name, Manner::Slow(latency)));
        script.after(50, 1_000);
    }
    for _ in 0..script.dice.from(2..=6) {
        let server = script.dice.one(&[Server::Producer, Server::Consumer, Server::Member]);
        script.step(Step::Crash(name, server));
        script.after(0, 300);
    }
    if slow {
        script.step(Step::Disk(name, Manner::Well));
    }
}

/// A node goes on with an earlier copy of its disk (P27).
fn old_copy(script: &mut Script) {
    if script.setup.outsider && script.dice.percent(70) {
        old_copy_of_an_outsider(script);
    } else {
        old_copy_of_a_member(script);
    }
}

/// It has pinged since the copy, and its last pings may be known to nobody, or to some.
fn old_copy_of_an_outsider(script: &mut Script) {
    script.step(Step::Start(OUTSIDER));
    script.step(Step::Copy(OUTSIDER));
    for _ in 0..script.dice.from(1..=2) {
        script.after(500, 3_000);
        if script.dice.percent(50) {
            let groups = script.groups();
            script.step(Step::Split(groups));
            script.after(500, 3_500);
        }
        let in_flight = script.in_flight();
        script.step(Step::Kill(OUTSIDER, Fate::Kept, in_flight));
        script.step(Step::PutBack(OUTSIDER));
        script.after(0, 1_500);
        script.step(Step::Start(OUTSIDER));
    }
    script.after(0, 2_000);
    script.step(Step::HealAll);
}

/// All processes end, so that no question is on its way. The member ends before the others, and they hear its last pings.
fn old_copy_of_a_member(script: &mut Script) {
    let names = script.setup.names();
    let names = script.dice.shuffled(&names);
    let Some(member) = names.iter().copied().find(|name| *name != OUTSIDER) else { return };
    script.step(Step::HealAll);
    script.step(Step::Calm);
    for name in &names {
        script.step(Step::Start(name));
    }
    script.step(Step::Copy(member));
    script.after(1_000, 5_000);
    let in_flight = script.in_flight();
    script.step(Step::Kill(member, Fate::Kept, in_flight));
    script.after(100, 1_000);
    for name in &names {
        let in_flight = script.in_flight();
        script.step(Step::Kill(name, Fate::Kept, in_flight));
    }
    script.step(Step::PutBack(member));
    script.after(0, 500);
    for name in names.iter().filter(|name| **name != member) {
        script.step(Step::Start(name));
    }
    script.after(0, 2_000);
    script.step(Step::Start(member));
    script.after(500, 2_000);
}

/// More stores are lost than may be (CANNOT 6); in half of the cases the others have been cut off before, and have not heard of all.
fn disaster(script: &mut Script) {
    let members = script.dice.shuffled(script.setup.members());
    let quorum = members.len() / 2 + 1;
    let lost = script.dice.from(quorum as u64..=members.len() as u64) as usize;
    let (lost, left) = members.split_at(lost);
    if script.dice.percent(50) && !left.is_empty() {
        let outsider = script.setup.outsider.then_some(OUTSIDER);
        script.step(Step::Split(vec![lost.iter().copied().chain(outsider).collect(), left.to_vec()]));
        script.after(2_500, 5_000);
    }
    script.step(Step::Lose(lost.to_vec()));
    script.after(0, 1_500);
    for name in lost {
        script.step(Step::Start(name));
        script.after(0, 300);
    }
    script.after(0, 2_000);
    script.step(Step::AcceptLoss);
    script.after(500, 3_000);
}
