//! The backend on real sockets of this machine. Events are waited for, with deadlines.

mod dials;
mod lanes;
mod log;
mod mesh;
mod tasks;
mod trust;

use crate::{Authority, Identity, QuicConfig, QuicConnection, QuicLink, Validity};
use pingpong_core::link::Link;
use pingpong_core::{Address, ClusterName, NodeName};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn authority() -> Authority {
    Authority::new(&ClusterName::new("test").unwrap(), YEAR).unwrap()
}

fn issue(authority: &Authority, own: &str) -> Identity {
    authority.issue(&name(own), Validity::from_now(YEAR)).unwrap()
}

fn config(identity: Identity) -> QuicConfig {
    QuicConfig::new("127.0.0.1:0".parse().unwrap(), identity)
}

fn bind(identity: Identity) -> QuicLink {
    QuicLink::bind(config(identity)).unwrap()
}

fn address(link: &QuicLink) -> Address {
    link.addresses().remove(0)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(20 * SECOND, what).await.expect("in time")
}

/// Two endpoints and a connection of the first to the second.
struct Pair {
    a: QuicLink,
    b: QuicLink,
    dialled: QuicConnection,
    accepted: QuicConnection,
}

async fn pair() -> Pair {
    let authority = authority();
    let (a, b) = (bind(issue(&authority, "a")), bind(issue(&authority, "b.example")));
    let to = address(&b);
    let (dialled, accepted) = soon(async { tokio::join!(a.dial(&to, None), b.accept()) }).await;
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    Pair { a, b, dialled, accepted }
}
