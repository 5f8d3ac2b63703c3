//! What happens to the nodes: drawn at random, one after the other, and not undone before the next one comes.
//!
//! A store is lost only when all was well and every member votes: so never more than one at once, as P12 asks for.

use super::world::{AGAIN, Loss, MEMBERS, NODES, World};
use crate::client::{Ask, Client};
use crate::node::{LONG, within};
use pingpong_conformance::history::What;
use pingpong_node::control::{AckLevel, ReadLevel};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::time::sleep;

/// A process that is stopped goes on after this time at the latest: its clients wait for it.
const STOPPED: Duration = Duration::from_secs(6);
/// A second kill comes this soon after a start.
const START: Duration = Duration::from_millis(80);
/// Clients ping in this time, whatever they had in mind.
const AHEAD: Duration = Duration::from_secs(1);

/// Milliseconds that packets take. Both ways together they may come to more than silence may last.
const DELAYS: RangeInclusive<u64> = 5..=900;
/// A ping waits for a majority for so long, while a member loses its disk and recovers.
const OLD_VOICE: Duration = Duration::from_secs(40);
/// How often is read what must not be seen yet.
const READS: usize = 20;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// A path is cut, both ways.
    Cut,
    /// A path is cut, one way.
    HalfCut,
    /// All paths of one node are cut.
    Isolate,
    /// The network falls apart in two.
    Split,
    /// All paths are cut.
    Shatter,
    /// A path is open again.
    Heal,
    /// All paths are.
    HealAll,
    /// `kill -9`.
    Kill,
    /// `kill -9` of all processes at once.
    KillAll,
    /// A node that is down is started, and killed at once.
    KillStarting,
    /// All nodes that are down are started, or one of them.
    Start,
    /// SIGSTOP.
    Stop,
    /// SIGCONT, of all that are stopped.
    Continue,
    /// `kill -9`, and the store is gone.
    Lose,
    /// Packets take long: on one way, or on all ways from and to a node.
    Delay,
    /// They do not any more.
    Prompt,
    /// A disk is full.
    Full,
    /// A member's disk is replaced by one that is full, until nothing more is counted there.
    LoseToFull,
    /// All disks have room.
    Room,
    /// A member says that it holds a ping, loses its disk, and recovers from others who have not got that ping yet; then one of those gets it
    /// (P24). The two words are no majority.
    OldVoice,
    /// The same of a member that alone with a second one has the last pings, and which comes back where only the third one is: the
    /// second one is cut off then.
    LoseAhead,
}

impl Fault {
    /// Those that do harm. Each happens once before any happens again.
    pub(crate) const DAMAGE: [Self; 15] = [
        Self::Cut,
        Self::HalfCut,
        Self::Isolate,
        Self::Split,
        Self::Shatter,
        Self::Kill,
        Self::KillAll,
        Self::KillStarting,
        Self::Stop,
        Self::Lose,
        Self::LoseAhead,
        Self::Delay,
        Self::Full,
        Self::LoseToFull,
        Self::OldVoice,
    ];

    /// How often it comes, compared with others. So many heals that there is mostly a majority.
    fn weight(self) -> u32 {
        match self {
            Self::Start => 8,
            Self::Kill => 6,
            Self::HealAll => 5,
            Self::Cut | Self::HalfCut | Self::Delay | Self::Room => 3,
            Self::Isolate | Self::Split | Self::Heal | Self::Stop | Self::Lose | Self::Full => 2,
            Self::Shatter
            | Self::KillAll
            | Self::KillStarting
            | Self::Continue
            | Self::LoseAhead
            | Self::LoseToFull
            | Self::OldVoice => 1,
            Self::Prompt => 1,
        }
    }
}

/// It pings, and has a disk with room.
fn can_be_filled(world: &World, node: usize) -> bool {
    world.is_up(node) && !world.is_stopped(node) && !world.is_full(node)
}

/// Who does it.
pub(crate) struct Nemesis {
    random: StdRng,
    happened: BTreeMap<Fault, u32>,
    /// What must happen yet.
    agenda: Vec<Fault>,
}

impl Nemesis {
    pub(crate) fn new(mut random: StdRng, world: &World) -> Self {
        let mut agenda = Fault::DAMAGE.to_vec();
        agenda.retain(|fault| !matches!(fault, Fault::Full | Fault::LoseToFull) || world.has_disks());
        agenda.shuffle(&mut random);
        Self { random, happened: BTreeMap::new(), agenda }
    }

    /// How often each of them was done.
    pub(crate) fn happened(&self) -> &BTreeMap<Fault, u32> {
        &self.happened
    }

    pub(crate) fn has_done_all(&self) -> bool {
        self.agenda.is_empty()
    }

    /// The next fault, and a pause.
    pub(crate) async fn next(&mut self, world: &mut World) {
        world.go_on(STOPPED).await;
        let fault = self.draw(world);
        *self.happened.entry(fault).or_default() += 1;
        self.agenda.retain(|open| *open != fault);
        self.carry_out(world, fault).await;
        let pause = match self.random.random_range(0..10) {
            0..3 => self.random.random_range(5..=80),
            3..7 => self.random.random_range(100..=1_200),
            _ => self.random.random_range(1_200..=3_500),
        };
        sleep(Duration::from_millis(pause)).await;
    }

    fn draw(&mut self, world: &World) -> Fault {
        let any = |which: fn(&World, usize) -> bool| (0..NODES).any(|node| which(world, node));
        let can_be = |fault: Fault| match fault {
            Fault::Kill | Fault::KillAll => any(World::is_up),
            Fault::KillStarting | Fault::Start => any(|world, node| !world.is_up(node)),
            Fault::Stop => any(|world, node| world.is_up(node) && !world.is_stopped(node)),
            Fault::Continue => any(World::is_stopped),
            Fault::Full => world.has_disks() && any(can_be_filled),
            Fault::LoseToFull => world.has_disks(),
            Fault::Room => any(World::is_full),
            _ => true,
        };
        // Half of the time what has not happened yet.
        if self.random.random_bool(0.5)
            && let Some(open) = self.agenda.iter().rev().find(|fault| can_be(**fault))
        {
            return *open;
        }
        let repairs = [Fault::Heal, Fault::HealAll, Fault::Start, Fault::Continue, Fault::Prompt, Fault::Room];
        let all: Vec<Fault> = Fault::DAMAGE.into_iter().chain(repairs).filter(|fault| can_be(*fault)).collect();
        *all.choose_weighted(&mut self.random, |fault| fault.weight()).unwrap()
    }

    fn one(&mut self, nodes: impl Iterator<Item = usize>) -> usize {
        let nodes: Vec<usize> = nodes.collect();
        *nodes.choose(&mut self.random).unwrap()
    }

    async fn carry_out(&mut self, world: &mut World, fault: Fault) {
        let any = self.random.random_range(0..NODES);
        let other = (any + self.random.random_range(1..NODES)) % NODES;
        let note = |words: String| world.record.note(format!("{fault:?}{words}"));
        match fault {
            Fault::Cut | Fault::Heal => {
                note(format!(" {any} {other}"));
                world.path(any, other, fault == Fault::Heal);
            }
            Fault::HalfCut => {
                note(format!(" {any} -> {other}"));
                world.way(any, other, false);
            }
            Fault::Isolate => {
                note(format!(" {any}"));
                (0..NODES).filter(|node| *node != any).for_each(|node| world.path(any, node, false));
            }
            Fault::Split => {
                let mut nodes: Vec<usize> = (0..NODES).collect();
                nodes.shuffle(&mut self.random);
                let side = nodes.split_off(self.random.random_range(1..NODES));
                note(format!(" {nodes:?} {side:?}"));
                world.paths(|one, other| side.contains(&one) == side.contains(&other));
            }
            Fault::Shatter | Fault::HealAll => {
                note(String::new());
                world.paths(|_, _| fault == Fault::HealAll);
            }
            Fault::Delay => {
                let delay = Duration::from_millis(self.random.random_range(DELAYS));
                if self.random.random_bool(0.5) {
                    note(format!(" {any} -> {other}: {delay:?}"));
                    world.slow(any, other, delay);
                } else {
                    note(format!(" {any}: {delay:?}"));
                    for node in (0..NODES).filter(|node| *node != any) {
                        world.slow(any, node, delay);
                        world.slow(node, any, delay);
                    }
                }
            }
            Fault::Prompt => {
                note(String::new());
                world.prompt();
            }
            Fault::Full => {
                let node = self.one((0..NODES).filter(|node| can_be_filled(world, *node)));
                world.fill(node);
            }
            Fault::LoseToFull => {
                let (victim, loss) = (any % MEMBERS, self.loss());
                world.calm().await;
                world.record.note(format!("LoseToFull {victim}: {loss:?}"));
                world.lose(victim, loss, |_, _| true).await;
                world.fill(victim);
                world.exhaust(victim).await;
            }
            Fault::Room => (0..NODES).for_each(|node| world.make_room(node)),
            Fault::Kill => {
                let node = self.one((0..NODES).filter(|node| world.is_up(*node)));
                world.kill(node).await;
            }
            Fault::KillAll => world.kill_all(&Vec::from_iter(0..NODES)).await,
            Fault::KillStarting => {
                let node = self.one((0..NODES).filter(|node| !world.is_up(*node)));
                world.run_for(node, self.random.random_range(Duration::ZERO..START)).await;
            }
            Fault::Start => {
                let down: Vec<usize> = (0..NODES).filter(|node| !world.is_up(*node)).collect();
                let all = self.random.random_bool(0.5);
                for node in down.into_iter().take(if all { NODES } else { 1 }) {
                    world.run(node).await;
                }
            }
            Fault::Stop => {
                let node = self.one((0..NODES).filter(|node| world.is_up(*node) && !world.is_stopped(*node)));
                note(format!(" {node}"));
                world.stop(node).await;
            }
            Fault::Continue => world.go_on(Duration::ZERO).await,
            Fault::Lose => {
                // Mostly one that has a vote to lose.
                let victim = if self.random.random_ratio(4, 5) { any % MEMBERS } else { any };
                let loss = self.loss();
                world.calm().await;
                world.record.note(format!("Lose {victim}: {loss:?}"));
                world.lose(victim, loss, |_, _| true).await;
            }
            Fault::OldVoice => self.old_voice(world).await,
            Fault::LoseAhead => {
                let mut members: Vec<usize> = (0..MEMBERS).collect();
                members.shuffle(&mut self.random);
                let [victim, ahead, behind] = members[..] else { unreachable!("there are three") };
                let loss = self.loss();
                world.calm().await;
                world.record.note(format!("LoseAhead {victim}, {behind} is behind: {loss:?}"));
                world.paths(|one, other| one != behind && other != behind);
                sleep(AHEAD).await;
                world.lose(victim, loss, |one, other| one != ahead && other != ahead).await;
                sleep(AHEAD).await;
            }
        }
    }

    async fn old_voice(&mut self, world: &mut World) {
        let mut members: Vec<usize> = (0..MEMBERS).collect();
        members.shuffle(&mut self.random);
        let [victim, late, third] = members[..] else { unreachable!("there are three") };
        let (writer, loss) = (MEMBERS, self.loss());
        let one_of = |pairs: [(usize, usize); 2]| {
            move |one, other| pairs.contains(&(one, other)) || pairs.contains(&(other, one))
        };
        world.calm().await;
        world.record.note(format!("OldVoice {victim}, {late} is late: {loss:?}"));
        // What only the writer hears of it nobody else would believe, when the disk is lost.
        let quiet = world.hush(victim).await;
        world.paths(one_of([(writer, victim), (late, third)]));
        // It does not know yet that it is cut off, or it would refuse.
        let machine = &world.machines[writer];
        let mut client = Client::of(&machine.name, machine.plan.socket.clone(), &world.record);
        let ping = tokio::spawn(async move { client.ask(&Ask::Ping(AckLevel::Majority), OLD_VOICE).await });
        sleep(AHEAD).await;
        world.lose(victim, loss, |one, other| one != writer && other != writer).await;
        world.votes(victim).await;
        let pinged = world.values(writer).await.get(&world.machines[writer].name).copied().unwrap_or_default();
        world.paths(one_of([(writer, late), (victim, third)]));
        world.knows(late, writer, pinged).await;
        // If it is acknowledged now, these two must not read less.
        let machine = &world.machines[third];
        let mut reader = Client::of(&machine.name, machine.plan.socket.clone(), &world.record);
        for _ in 0..READS {
            reader.ask(&Ask::Read(ReadLevel::Majority, What::All), AHEAD).await;
            sleep(AGAIN).await;
        }
        world.paths(|_, _| true);
        let outcome = within(LONG, "the ping has its answer", ping).await.unwrap();
        world.record.note(format!("OldVoice: {outcome:?}"));
        drop(quiet);
    }

    fn loss(&mut self) -> Loss {
        *[Loss::File, Loss::Directory, Loss::Forgotten].choose(&mut self.random).unwrap()
    }
}
