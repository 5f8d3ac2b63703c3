//! Who is online: users connect to any node, and every node knows who is connected to which.
//!
//! `cargo run -p pingpong-node --example presence -- mem` (or `quic`)
//!
//! Each node tells the others its own users, and says nothing of anybody else's; whose they are is the sender that a handler is given,
//! authenticated (A1). What a node was told is believed for as long as the teller is up:
//! - At `Down` its users are offline here: after a crash or a cut at most one failure timeout later (M6). Nothing of a session comes after
//!   its `Down` (C4), so none of them comes back by a message that was late.
//! - At `Up` each tells the other all of its users, and from then on what changes. A link that is up loses nothing and keeps the order (C2,
//!   C3), so changes suffice. A name with no server loses messages without a `Down` (C5): one that starts, again after a crash too, tells
//!   its users to all that are linked, and asks for theirs.
//! - A handler does not wait for room in a queue: a peer whose queue is full is told everything once more when there is room again.
//!
//! The users of this node are looked at as a whole when they change: right for thousands on each node, not for millions.
#![allow(clippy::print_stdout, reason = "it is a program")]

use pingpong_node::{
    Context, DownReason, Node, NodeName, Server, ServerHandle, ServerName, SpawnOptions, Targets, Transport, dev,
    message,
};
use pingpong_node::{message::Never, server::spawn, transport::NotSent};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

type Users = BTreeSet<String>;

#[derive(Serialize, Deserialize)]
enum Told {
    /// All users of the sender; it may ask for those of the receiver.
    All { users: Users, ask: bool },
    /// What changed since it was told last.
    Change { came: Users, gone: Users },
}
message!(Told, id = 1, version = 0);

/// Who is online, as one node knows it. It outlives the server, and so do the connections of its users.
struct Presence {
    server: ServerName,
    /// How many connections each user has to this node.
    here: watch::Sender<BTreeMap<String, usize>>,
    /// The users of this node and of those that are up.
    everywhere: watch::Sender<BTreeMap<NodeName, Users>>,
}

/// A connection of a user to this node. Dropping it ends it.
struct Connected(Arc<Presence>, String);

impl Presence {
    fn start(node: &Arc<dyn Transport>) -> Result<(Arc<Self>, ServerHandle), Box<dyn std::error::Error>> {
        let server = ServerName::new("presence")?;
        let (here, everywhere) = (watch::Sender::default(), watch::Sender::default());
        let presence = Arc::new(Self { server: server.clone(), here, everywhere });
        let of_server = Arc::clone(&presence);
        let factory = move || Teller::new(Arc::clone(&of_server));
        Ok((presence, spawn(Arc::clone(node), server, factory, SpawnOptions::default())?))
    }

    fn connect(self: &Arc<Self>, user: &str) -> Connected {
        self.here.send_modify(|here| *here.entry(user.to_owned()).or_default() += 1);
        Connected(Arc::clone(self), user.to_owned())
    }

    /// Where that user is online.
    fn find(&self, user: &str) -> Vec<NodeName> {
        let everywhere = self.everywhere.borrow();
        everywhere.iter().filter(|(_, users)| users.contains(user)).map(|(node, _)| node.clone()).collect()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.here.send_modify(|here| match here.get_mut(&self.1) {
            Some(more) if *more > 1 => *more -= 1,
            _ => drop(here.remove(&self.1)),
        });
    }
}

/// Tells the users of this node, and is told those of the others.
struct Teller {
    presence: Arc<Presence>,
    here: watch::Receiver<BTreeMap<String, usize>>,
    told: Users,
    behind: BTreeSet<NodeName>,
}

enum Info {
    Changed,
    Again,
}

impl Teller {
    fn new(presence: Arc<Presence>) -> Self {
        presence.everywhere.send_replace(BTreeMap::new()); // whoever is up is told to each life of the server anew
        Self { here: presence.here.subscribe(), presence, told: Users::new(), behind: BTreeSet::new() }
    }

    fn look(&mut self, cx: &mut Context<Self>) {
        let users: Users = self.here.borrow_and_update().keys().cloned().collect();
        let came: Users = users.difference(&self.told).cloned().collect();
        let gone: Users = self.told.difference(&users).cloned().collect();
        self.told.clone_from(&users);
        self.presence.everywhere.send_modify(|everywhere| drop(everywhere.insert(cx.node().name, users)));
        if !(came.is_empty() && gone.is_empty()) {
            let to = cx.list().into_iter().map(|node| node.name).filter(|name| !self.behind.contains(name)).collect();
            self.send(to, &Told::Change { came, gone }, cx);
        }
        let mut here = self.here.clone();
        // Neither `Busy`, it is its only work; nor without a sender, this server has it.
        let _ = cx.spawn(|_| async move { here.changed().await.map_or(Info::Again, |()| Info::Changed) });
    }

    fn tell_all(&mut self, to: NodeName, ask: bool, cx: &mut Context<Self>) {
        self.send(vec![to], &Told::All { users: self.told.clone(), ask }, cx);
    }

    fn send(&mut self, to: Vec<NodeName>, message: &Told, cx: &mut Context<Self>) {
        // An error: this node is shutting down, or has more users than a message may have bytes.
        let Ok(sent) = cx.try_abcast(&Targets::Nodes(to), &self.presence.server, message) else { return };
        // One that is not linked is told everything at its next `Up`.
        let full = sent.refused.into_iter().filter(|refused| refused.reason == NotSent::Full);
        let was_waiting = !self.behind.is_empty();
        self.behind.extend(full.map(|refused| refused.name));
        if !was_waiting && !self.behind.is_empty() {
            let _ = cx.after(Duration::from_millis(100), Info::Again); // not `Busy`: it is its only timer
        }
    }
}

impl Server for Teller {
    type Cast = Told;
    type Call = Never;
    type Info = Info;
    const EVENTS: bool = true;

    async fn started(&mut self, cx: &mut Context<Self>) {
        self.look(cx);
    }

    async fn info(&mut self, info: Info, cx: &mut Context<Self>) {
        match info {
            Info::Changed => self.look(cx),
            Info::Again => std::mem::take(&mut self.behind).into_iter().for_each(|peer| self.tell_all(peer, true, cx)),
        }
    }

    async fn cast(&mut self, from: &Node, message: Told, cx: &mut Context<Self>) {
        let ask = matches!(message, Told::All { ask: true, .. });
        self.presence.everywhere.send_modify(|everywhere| {
            let users = everywhere.entry(from.name.clone()).or_default();
            match message {
                Told::All { users: all, .. } => *users = all,
                Told::Change { came, gone } => {
                    users.retain(|user| !gone.contains(user));
                    users.extend(came);
                }
            }
        });
        if ask {
            self.tell_all(from.name.clone(), false, cx);
        }
    }

    async fn call(&mut self, _: &Node, request: Never, _: &mut Context<Self>) -> Never {
        request
    }

    async fn node_up(&mut self, node: &Node, cx: &mut Context<Self>) {
        self.presence.everywhere.send_modify(|everywhere| drop(everywhere.insert(node.name.clone(), Users::new())));
        self.tell_all(node.name.clone(), true, cx);
    }

    async fn node_down(&mut self, node: &Node, _: &DownReason, _: &mut Context<Self>) {
        self.presence.everywhere.send_modify(|everywhere| drop(everywhere.remove(&node.name)));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kind = std::env::args().nth(1).map_or(Ok(dev::Kind::default()), |kind| kind.parse())?;
    let mut cluster = dev::Cluster::start_on(kind, ["a", "b"]).await?;
    let ((at_a, _server), (at_b, _other)) =
        (Presence::start(cluster.node("a")?)?, Presence::start(cluster.node("b")?)?);
    let _connected = at_a.connect("ann");
    let mut seen = at_b.everywhere.subscribe();
    seen.wait_for(|everywhere| everywhere.values().any(|users| users.contains("ann"))).await?;
    println!("b: ann is online at {:?}", at_b.find("ann"));
    cluster.stop("a").await?;
    seen.wait_for(|everywhere| everywhere.len() == 1).await?; // b itself
    println!("b: ann is online at {:?}", at_b.find("ann"));
    Ok(())
}

#[cfg(test)]
#[path = "tests/presence.rs"]
mod tests;
