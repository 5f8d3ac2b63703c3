//! What a step does: the shell's part, carrying out the machine's actions in their order.

use crate::shared::Shared;
use crate::watch::witness;
use crate::world::{Instance, Life, State, Step, Wire, World};
use pingpong_core::Incarnation;
use pingpong_core::session::{Action, ConnId, Event, LaneOffset, Message};
use stateright::{Model, Property};
use std::collections::BTreeSet;
use std::sync::Arc;

impl World {
    fn feed(&self, state: &mut State, node: usize, event: Event) {
        let outside = Self::outside(state, node);
        let before = state.nodes[node].clone();
        let actions = state.nodes[node].edit().machine.on(event, outside);
        self.note_actions(&before.machine, &actions);
        for action in actions {
            self.act(state, node, action);
        }
        self.check_list(state, node);
        state.meet();
        state.sweep();
    }

    fn act(&self, state: &mut State, node: usize, action: Action) {
        match action {
            Action::Control { conn, message } => self.write(state, node, conn, message),
            Action::Tell { conn, after } => {
                let page = state.nodes[node].machine.peers(conn, after.as_ref(), 1);
                self.write(state, node, conn, Message::Peers(page));
            }
            Action::Close { conn, reason } => {
                let wire = conn.0 as usize;
                let side = state.side(wire, node);
                let wire = state.wires[wire].edit();
                wire.open[side] = false;
                if wire.open[1 - side] && wire.accepted {
                    wire.close[1 - side] = Some(reason);
                }
            }
            Action::Drain { conn } => {
                let side = state.side(conn.0 as usize, node);
                state.wires[conn.0 as usize].edit().drain[side] = true;
            }
            Action::AwaitHandover { conn, offsets } => {
                let side = state.side(conn.0 as usize, node);
                let end = offsets.first().map_or(0, |lane| lane.offset);
                state.wires[conn.0 as usize].edit().handover[side] = Some(end);
            }
            Action::Up { node: peer, session, conn } => self.saw_up(state, node, &peer, &session, conn),
            Action::Down { node: peer, session, reason } => self.saw_down(state, node, &peer, &session, &reason),
            Action::Store(incarnation) => {
                state.nodes[node].edit().greatest = incarnation;
                self.note(witness::RAISED);
            }
            Action::Stop { by, .. } => self.saw_stop(state, node, by),
            Action::Quit => state.end(node, Life::Quit),
            Action::OpenLanes { .. } | Action::Told { .. } | Action::Moved { .. } => {}
        }
    }

    fn write(&self, state: &mut State, node: usize, conn: ConnId, message: Message) {
        let wire = conn.0 as usize;
        let other = 1 - state.side(wire, node);
        if state.wires[wire].open == [true; 2] {
            state.wires[wire].edit().control[other].push_back(Arc::new(message));
        }
    }

    fn dial(&self, state: &mut State, from: usize, to: usize) {
        let conn = ConnId(state.wires.len() as u64);
        state.wires.push(Shared::new(Wire {
            ends: [from, to],
            accepted: false,
            open: [true; 2],
            control: Default::default(),
            lane: Default::default(),
            close: Default::default(),
            drain: [false; 2],
            handover: [None; 2],
        }));
        self.feed(state, from, Event::Connected { conn, to: self.names[to].clone() });
    }

    fn read_control(&self, state: &mut State, wire: usize, side: usize) -> Option<()> {
        let [dialler, _] = state.wires[wire].ends;
        let node = state.wires[wire].ends[side];
        let conn = ConnId(wire as u64);
        let message = state.wires[wire].edit().control[side].pop_front()?;
        if side == 1 && !state.wires[wire].accepted {
            state.wires[wire].edit().accepted = true;
            self.feed(state, node, Event::Accepted { conn, from: self.names[dialler].clone() });
        }
        if matches!(*message, Message::Take(_)) && !state.wires[wire].open[1 - side] {
            self.note(witness::LATE_TAKE);
        }
        self.feed(state, node, Event::Message { conn, message: Arc::unwrap_or_clone(message) });
        Some(())
    }

    /// A step of one end of a connection.
    fn wire_step(&self, state: &mut State, step: &Step, wire: usize, side: usize) -> Option<()> {
        let conn = ConnId(wire as u64);
        let node = state.wires[wire].ends[side];
        match step {
            Step::Control(..) => self.read_control(state, wire, side)?,
            Step::Lane(..) => {
                let frame = state.wires[wire].edit().lane[side].pop_front()?;
                self.saw_delivery(state, wire, node, &frame);
            }
            Step::Closed(..) => {
                let end = state.wires[wire].edit();
                let reason = end.close[side].take()?;
                end.open[side] = false;
                self.feed(state, node, Event::Closed { conn, reason });
            }
            Step::LoseClose(..) => state.wires[wire].edit().close[side] = None,
            Step::Compare(..) => self.feed(state, node, Event::Compare { conn }),
            Step::Silence(..) => {
                self.feed(state, node, Event::Lost { conn });
                state.wires[wire].edit().open[side] = false;
                state.sweep();
            }
            Step::Verdict(..) => {
                state.left.verdicts -= 1;
                state.faults = true;
                self.feed(state, node, Event::Lost { conn });
            }
            Step::Drained(..) => {
                state.wires[wire].edit().drain[side] = false;
                let session = state.session_on(wire, node)?.clone();
                let offset = state.part(&session, node).sent;
                self.feed(state, node, Event::Drained { conn, offsets: vec![LaneOffset { lane: 0, offset }] });
            }
            Step::HandedOver(..) => {
                state.wires[wire].edit().handover[side] = None;
                self.feed(state, node, Event::HandedOver { conn });
            }
            _ => return None,
        }
        Some(())
    }

    fn restart(&self, state: &mut State, node: usize, clock_back: bool) {
        let before = &state.nodes[node];
        let (starts, greatest) = (before.starts + 1, before.greatest);
        let own = node as u64 + 4 * starts;
        let incarnation = if clock_back {
            Incarnation::new(0, own) // Below every other one.
        } else {
            Incarnation::above(greatest, 0, own)
        };
        *state.nodes[node].edit() = Instance {
            life: Life::Runs,
            machine: self.machine(node, incarnation),
            own,
            greatest: greatest.max(incarnation),
            starts,
            beside: BTreeSet::new(),
            shown: Default::default(),
        };
        state.meet();
    }

    fn send(&self, state: &mut State, node: usize, name: &pingpong_core::NodeName) -> Option<()> {
        state.left.sends -= 1;
        let (_, session, conn) = state.nodes[node].shown.get(name)?.up.clone()?;
        let part = state.part(&session, node);
        part.sent += 1;
        let sent = part.sent;
        let wire = conn.0 as usize;
        let other = 1 - state.side(wire, node);
        if state.wires[wire].open[other] {
            state.wires[wire].edit().lane[other].push_back((session, sent));
        }
        Some(())
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.bad.is_none() {
            self.progress(state, steps);
            self.faults(state, steps);
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match &step {
            Step::Dial(from, to) => self.dial(&mut state, *from, *to),
            Step::LateDial(from, to) => {
                state.left.late -= 1;
                self.dial(&mut state, *from, *to);
            }
            Step::Control(wire, side)
            | Step::Lane(wire, side)
            | Step::Closed(wire, side)
            | Step::LoseClose(wire, side)
            | Step::Silence(wire, side)
            | Step::Verdict(wire, side)
            | Step::Drained(wire, side)
            | Step::HandedOver(wire, side)
            | Step::Compare(wire, side) => self.wire_step(&mut state, &step, *wire, *side)?,
            Step::Crash(node) => {
                state.left.crashes -= 1;
                state.faults = true;
                state.end(*node, Life::Crashed);
            }
            Step::Restart(node) => self.restart(&mut state, *node, false),
            Step::RestartBack(node) => self.restart(&mut state, *node, true),
            Step::Send(node, name) => self.send(&mut state, *node, name)?,
            Step::Leave(node) => {
                state.left.leaves -= 1;
                state.faults = true;
                self.feed(&mut state, *node, Event::Leave);
            }
            Step::Deadline(node) => self.feed(&mut state, *node, Event::LeaveDeadline),
            Step::Disconnect(node, name) => {
                state.left.leaves -= 1;
                state.faults = true;
                self.feed(&mut state, *node, Event::Disconnect(name.clone()));
            }
            Step::Forget(node, name) => {
                state.left.forgets -= 1;
                state.faults = true;
                self.feed(&mut state, *node, Event::Forget(name.clone()));
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("every event, delivery and stop is right", |_, state: &State| state.bad.is_none()),
            Property::always("nothing left to do: all agree, and no loss is hidden", |world: &World, state: &State| {
                if state.bad.is_some() || state.wires.iter().any(|wire| wire.control.iter().any(|c| !c.is_empty())) {
                    return true;
                }
                let mut steps = Vec::new();
                world.progress(state, &mut steps);
                if !steps.is_empty() {
                    return true;
                }
                let settled = world.settled(state);
                if settled && state.left == Default::default() {
                    world.note(witness::SETTLED);
                }
                settled
            }),
        ]
    }
}
