//! Local reads: on one node they never fall, and have every ping that was answered there (P17).
//!
//! Both end with the node's store. A read during which it was lost says nothing.

use super::record::Level;
use super::timeline::{Loss, Read, Timeline};
use super::violation::Violation;
use pingpong_core::NodeName;
use pingpong_core::exercise::Slot;
use std::collections::BTreeMap;

/// What a node has shown since it has its store.
#[derive(Clone, Default)]
struct Life {
    lost: usize,
    /// By producer, and last the total: the most, and which read showed it.
    shown: Vec<(u128, usize)>,
    /// The greatest numbers that were answered here.
    own: BTreeMap<Slot, u64>,
}

/// What a read must not fall below: the life at its begin, what was shown before, and what was answered here.
type Floor = (usize, Vec<(u128, usize)>, u128);

enum Event<'a> {
    Lost(&'a Loss<'a>),
    /// By index of the ping.
    Answered(usize),
    Begin(usize),
    End(usize),
}

/// Checks the answers of `local`.
pub(super) fn local(line: &Timeline<'_>) -> Result<(), Violation> {
    let mut lives: BTreeMap<&NodeName, Life> = BTreeMap::new();
    let mut reading: BTreeMap<usize, Floor> = BTreeMap::new();
    for (at, event) in events(line) {
        match event {
            Event::Lost(loss) => {
                let own = loss.kept.into_iter().flatten().filter(|(slot, _)| slot.producer == *loss.node);
                let own = own.map(|(slot, count)| (slot.clone(), *count)).collect();
                lives.insert(loss.node, Life { lost: at, own, ..Life::default() });
            }
            Event::Answered(index) => {
                let ping = &line.pings[index];
                let Some(mark) = ping.answer else { continue };
                let life = lives.entry(&mark.slot.producer).or_default();
                if life.lost <= ping.begin {
                    let number = life.own.entry(mark.slot.clone()).or_default();
                    *number = mark.count.max(*number);
                }
            }
            Event::Begin(index) => {
                let life = lives.entry(line.reads[index].node).or_default();
                let own = life.own.values().map(|count| u128::from(*count)).sum();
                reading.insert(index, (life.lost, life.shown.clone(), own));
            }
            Event::End(index) => {
                let read = &line.reads[index];
                let life = lives.entry(read.node).or_default();
                let Some((_, shown, own)) = reading.remove(&index).filter(|(lost, ..)| *lost == life.lost) else {
                    continue;
                };
                compare(line, read, &shown, own)?;
                life.shown.resize(line.producers.len() + 1, (0, 0));
                for (producer, value) in places(line, read) {
                    if let Some(most) = life.shown.get_mut(producer).filter(|(most, _)| *most < value) {
                        *most = (value, read.entry);
                    }
                }
            }
        }
    }
    Ok(())
}

fn events<'a>(line: &'a Timeline<'_>) -> Vec<(usize, Event<'a>)> {
    let mut events: Vec<(usize, Event<'a>)> = line.losses.iter().map(|loss| (loss.at, Event::Lost(loss))).collect();
    for (index, ping) in line.pings.iter().enumerate() {
        events.extend(ping.answer.map(|mark| (mark.at, Event::Answered(index))));
    }
    for (index, read) in line.reads.iter().enumerate().filter(|(_, read)| read.level == Level::Local) {
        events.push((read.begin, Event::Begin(index)));
        events.push((read.end, Event::End(index)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// What a read showed, by place in [`Life::shown`].
fn places<'a>(line: &Timeline<'_>, read: &'a Read<'_>) -> impl Iterator<Item = (usize, u128)> + 'a {
    let total = line.producers.len();
    read.shown.values().chain(read.shown.total().map(|value| (total, value)))
}

fn compare(line: &Timeline<'_>, read: &Read<'_>, shown: &[(u128, usize)], own: u128) -> Result<(), Violation> {
    for (place, value) in places(line, read) {
        if let Some((_, earlier)) = shown.get(place).filter(|(most, _)| *most > value) {
            let (read, earlier) = (line.entry(read.entry), line.entry(*earlier));
            return Err(Violation::LocalFell { read, of: line.of(Some(place)), earlier });
        }
        let includes_own = line.producers.get(place).is_none_or(|name| *name == read.node);
        if includes_own && value < own {
            return Err(Violation::LocalMissed { read: line.entry(read.entry), least: own });
        }
    }
    Ok(())
}
