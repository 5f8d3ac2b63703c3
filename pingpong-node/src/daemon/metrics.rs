//! The figures of a node, under the names that they have in the API, the CLI and the log.

use crate::control::{Desk, LinkStatus};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::AtomicU64;

/// What the answer is: the text format of OpenMetrics.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Peer {
    peer: String,
}

/// They are read when they are asked for: nothing is counted twice.
pub(super) async fn text(desk: &Desk) -> Result<String, fmt::Error> {
    let status = desk.status();
    let mut registry = Registry::with_prefix("pingpong");
    let gauge = |value: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        gauge
    };
    registry.register("links", "Nodes with a session right now", gauge(status.links as i64));
    registry.register("ready", "1 if the node is ready", gauge(i64::from(status.ready)));
    registry.register("tasks", "Tasks that are alive on the node's own thread", gauge(status.tasks as i64));
    if let Some(store) = &status.store {
        registry.register(
            "recovering",
            "1 if the node has lost its store and does not vote",
            gauge(i64::from(store.recovering)),
        );
        registry.register("slots", "Slots in the node's store of counts", gauge(store.slots as i64));
    }
    registry.register_with_unit(
        "certificate_expires",
        "When the node's certificate expires, since 1970",
        Unit::Seconds,
        gauge(status.certificate_expires),
    );
    for counter in desk.counters() {
        registry.register(counter.name, counter.help, ConstCounter::new(counter.count));
    }
    links(&mut registry, &desk.links().await);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn links(registry: &mut Registry, links: &[LinkStatus]) {
    let peer = |link: &LinkStatus| Peer { peer: link.node.to_string() };
    let trips = Family::<Peer, Gauge<f64, AtomicU64>>::default();
    let (sent, lost) = (Family::<Peer, Gauge>::default(), Family::<Peer, Gauge>::default());
    let queued = Family::<Peer, Gauge>::default();
    for link in links {
        if let Some(micros) = link.round_trip_us {
            trips.get_or_create(&peer(link)).set(micros as f64 / 1e6);
        }
        sent.get_or_create(&peer(link)).set(link.sent_packets as i64);
        lost.get_or_create(&peer(link)).set(link.lost_packets as i64);
        queued.get_or_create(&peer(link)).set(link.queued_bytes as i64);
    }
    registry.register_with_unit("round_trip", "The smallest of the last heartbeats", Unit::Seconds, trips);
    // They begin anew with each session, so they are no counters.
    registry.register("sent_packets", "Packets sent in this session", sent);
    registry.register("lost_packets", "Packets of these that were lost", lost);
    registry.register_with_unit("queued", "What waits for the peer", Unit::Bytes, queued);
}
