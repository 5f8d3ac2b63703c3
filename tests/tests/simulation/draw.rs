//! Draws a plan from a seed: the world, the clients, and what goes wrong.
//!
//! Half of what goes wrong is drawn at random, step by step; the other half are [`ploys`](crate::ploys), whose steps belong together.

use crate::dice::Dice;
use crate::plan::{Ask, ClientPlan, Fate, InFlight, Manner, Name, Plan, Server, Setup, Step};
use crate::ploys;
use std::time::Duration;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The one plan of a seed.
pub(crate) fn draw(seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let setup = setup(seed, &mut dice);
    let mut script = Script::new(setup.clone(), dice);
    for _ in 0..script.dice.from(4..=7) {
        if script.dice.percent(50) {
            ploys::any(&mut script);
        } else {
            random(&mut script);
        }
    }
    let hub = script.dice.percent(30).then(|| script.member());
    if let Some(hub) = hub {
        script.after(100, 1_000);
        script.step(Step::HealAll);
        script.step(Step::Star(hub));
        script.after(3_000, 6_000);
    }
    // In some runs clients fall silent early, so that no later ping makes good what a node has missed.
    let silent = script.dice.percent(45).then(|| ploys::at_last(&mut script));
    script.after(200, 2_000);
    let Script { mut dice, at: end, steps, .. } = script;
    let silent = silent.unwrap_or(end);
    let clients = clients(&setup, silent, &mut dice);
    Plan { setup, clients, steps, hub, silent, end }
}

fn setup(seed: u64, dice: &mut Dice) -> Setup {
    let members = if dice.percent(30) { 5 } else { 3 };
    let outsider = dice.percent(if members == 5 { 25 } else { 60 });
    Setup {
        seed,
        members,
        outsider,
        memory: dice.percent(15),
        far: millis(dice.one(&[0, 1, 3, 10, 30])),
        jitter: millis(dice.one(&[0, 2, 10, 40])),
        commit: millis(dice.one(&[0, 0, 1, 4, 20])),
        gossip: millis(dice.one(&[50, 200, 200, 1_000])),
        ask_deadline: millis(dice.one(&[300, 300, 2_000])),
        few_slots: dice.one(&[0, 1, 4, 64]),
        piece_slots: dice.one(&[1, 2, 4, 2_048]),
    }
}

/// Steps that are drawn one after the other.
pub(crate) struct Script {
    pub(crate) setup: Setup,
    pub(crate) dice: Dice,
    at: Duration,
    steps: Vec<(Duration, Step)>,
}

impl Script {
    fn new(setup: Setup, dice: Dice) -> Self {
        Self { setup, dice, at: millis(500), steps: Vec::new() }
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push((self.at, step));
    }

    /// When the next step comes.
    pub(crate) fn now(&self) -> Duration {
        self.at
    }

    /// The next step comes between so many and so many milliseconds later.
    pub(crate) fn after(&mut self, least: u64, most: u64) {
        self.at += millis(self.dice.from(least..=most));
    }

    /// The next step comes soon, or later.
    fn some_time(&mut self) {
        match self.dice.from(0..=9) {
            0..=3 => self.after(0, 60),
            4..=7 => self.after(100, 900),
            _ => self.after(1_000, 3_500),
        }
    }

    pub(crate) fn name(&mut self) -> Name {
        let names = self.setup.names();
        self.dice.one(&names)
    }

    pub(crate) fn member(&mut self) -> Name {
        let members = self.setup.members();
        self.dice.one(members)
    }

    fn pair(&mut self) -> (Name, Name) {
        let names = self.dice.shuffled(&self.setup.names());
        (names[0], names[1])
    }

    pub(crate) fn in_flight(&mut self) -> InFlight {
        self.dice.one(&[InFlight::Lands, InFlight::Vanishes])
    }

    pub(crate) fn groups(&mut self) -> Vec<Vec<Name>> {
        let names = self.dice.shuffled(&self.setup.names());
        let at = self.dice.from(1..=names.len() as u64 - 1) as usize;
        vec![names[..at].to_vec(), names[at..].to_vec()]
    }

    fn manner(&mut self) -> Manner {
        match self.dice.from(0..=9) {
            0 | 1 => Manner::Well,
            2 | 3 => Manner::Slow(millis(self.dice.from(20..=600))),
            4 | 5 => Manner::Full,
            6 => Manner::HeldBefore,
            7 => Manner::HeldAfter,
            _ => Manner::FailsSync { kept: self.dice.percent(50) },
        }
    }
}

/// Some steps at random.
fn random(script: &mut Script) {
    for _ in 0..script.dice.from(3..=8) {
        let (name, (one, other)) = (script.name(), script.pair());
        match script.dice.from(0..=33) {
            0 | 1 => script.step(Step::Cut(one, other)),
            2 | 3 => script.step(Step::CutOneWay(one, other)),
            4 => script.step(Step::Heal(one, other)),
            5..=7 => script.step(Step::HealAll),
            8 | 9 => {
                let groups = script.groups();
                script.step(Step::Split(groups));
            }
            10 => {
                let hub = script.member();
                script.step(Step::Star(hub));
            }
            11 => {
                let far = millis(script.dice.one(&[20, 80, 300, 1_200]));
                script.step(Step::Delay(one, other, far));
            }
            12 => {
                let far = millis(script.dice.one(&[20, 80, 300, 1_200]));
                script.step(Step::Far(name, far));
            }
            13 | 14 => script.step(Step::Calm),
            15 => script.step(Step::Stall(name)),
            16 | 17 => script.step(Step::Resume(name)),
            18..=20 => {
                let server = script.dice.one(&[Server::Producer, Server::Consumer, Server::Member]);
                script.step(Step::Crash(name, server));
            }
            21..=23 => {
                let (fate, in_flight) = (script.dice.one(&[Fate::Kept, Fate::Kept, Fate::Lost]), script.in_flight());
                script.step(Step::Kill(name, fate, in_flight));
            }
            24..=26 => script.step(Step::Start(name)),
            27 => script.step(Step::StopServers(name)),
            28 => script.step(Step::Copy(name)),
            29 => {
                let in_flight = script.in_flight();
                script.step(Step::Kill(name, Fate::Kept, in_flight));
                script.step(Step::PutBack(name));
            }
            _ => {
                let manner = script.manner();
                script.step(Step::Disk(name, manner));
            }
        }
        script.some_time();
    }
}

/// Clients of all nodes; most come and go, some nodes hear nothing after a while.
fn clients(setup: &Setup, end: Duration, dice: &mut Dice) -> Vec<ClientPlan> {
    let names = setup.names();
    let mut clients = Vec::new();
    for node in &names {
        let until = if dice.percent(40) { dice.from(30..=90) } else { 100 };
        for _ in 0..dice.from(2..=4) {
            let taste = dice.from(0..=3);
            let mut asks = Vec::new();
            let mut at = millis(dice.from(0..=800));
            while at < end * until as u32 / 100 {
                for _ in 0..dice.from(1..=12) {
                    asks.push((at, ask(taste, &names, dice)));
                    at += match dice.from(0..=3) {
                        0 => Duration::ZERO,
                        1 | 2 => millis(dice.from(1..=50)),
                        _ => millis(dice.from(50..=400)),
                    };
                }
                at += millis(dice.from(100..=3_000));
            }
            clients.push(ClientPlan { node, asks });
        }
    }
    clients
}

fn ask(taste: u64, names: &[Name], dice: &mut Dice) -> Ask {
    let within = match dice.from(0..=5) {
        0 => millis(dice.from(1..=40)),
        1..=3 => millis(dice.from(100..=1_500)),
        _ => millis(dice.from(3_000..=14_000)),
    };
    // One that pings most of the time, one that reads, and those who do both.
    let pings = dice.percent([85, 15, 50, 50][taste as usize % 4]);
    if pings {
        return match dice.from(0..=9) {
            0 => Ask::PingQueued,
            1..=4 => Ask::PingLocal,
            5..=7 => Ask::PingMajority(within),
            _ => Ask::Confirm(within),
        };
    }
    match dice.from(0..=9) {
        0 => Ask::ReadLocal,
        1 => Ask::ReadFresh(within.min(millis(1_000))),
        2 | 3 => Ask::ReadValue(dice.one(names), within),
        4 | 5 => Ask::ReadTotal(within),
        6 => Ask::ReadAll(within),
        _ => Ask::Snapshot(within),
    }
}
