//! How a node's answers are shown: as tables and sentences to people, as JSON to programs.

use super::output::{BAD, DIM, GOOD, Outcome, complain, counted, say, say_json, size, styled, table};
use pingpong_node::NodeName;
use pingpong_node::control::{
    Answer, CalledNode, CountsRead, LinkStatus, NodeStatus, ReadLevel, Reading, SlotCount, ValueRead, WatchEvent, Worth,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Shows an answer; it has failed if it says so.
pub(super) fn show(answer: &Answer, json: bool) -> Outcome {
    let (said, ok) = match answer {
        Answer::Status(status) => (if json { say_json(status) } else { say(&of_status(status)) }, status.ready),
        Answer::Nodes(links) => (if json { say_json(links) } else { say(&of_links(links)) }, true),
        Answer::Event(event) => (if json { say_json(event) } else { say(&of_event(event)) }, true),
        Answer::Counts(reading) => {
            let ok = reading.failed.is_empty();
            (if json { say_json(reading) } else { say(&of_counts(reading)) }, ok)
        }
        Answer::Called(nodes) => {
            let ok = nodes.iter().all(|node| node.failure.is_none());
            (if json { say_json(nodes) } else { say(&of_called(nodes)) }, ok)
        }
        Answer::Done { known: true } => (if json { say_json(answer) } else { say("done\n") }, true),
        Answer::Done { known: false } => (
            if json {
                say_json(answer)
            } else {
                complain(&"that node is not linked, or not known, there; `nodes` says who is linked")
            },
            false,
        ),
        Answer::Pinged { pings, slot, .. } => {
            let text = match slot {
                Some(slot) => format!("{}; {} by now\n", counted(*pings, "ping"), of_slot(slot)),
                None if *pings > 0 => format!("{} wait to be counted\n", counted(*pings, "ping")),
                None => "no ping\n".to_owned(),
            };
            (if json { say_json(answer) } else { say(&text) }, true)
        }
        Answer::Unconfirmed { slot, have, need, .. } => {
            let words = format!(
                "counted, {}; {have} of the {need} members that it needs have said that they have it; do not ping again: \
                 pingpong-node confirm {}@{} {}",
                of_slot(slot),
                slot.node,
                slot.epoch,
                slot.count
            );
            if json {
                say_json(answer);
            }
            complain(&words);
            return Outcome::Unknown;
        }
        Answer::Confirmed(slot) => {
            (if json { say_json(slot) } else { say(&format!("a majority has {}\n", of_slot(slot))) }, true)
        }
        Answer::Read(read) => (if json { say_json(read) } else { say(&of_read(read)) }, true),
        Answer::Accepted(from) => {
            let from: Vec<&str> = from.iter().map(NodeName::as_str).collect();
            let text = if from.is_empty() {
                "it votes, with what it has alone\n".to_owned()
            } else {
                format!("it votes, with what it has and took over from {}\n", from.join(", "))
            };
            (if json { say_json(answer) } else { say(&text) }, true)
        }
        Answer::Stopping {} => (if json { say_json(answer) } else { say("it leaves the cluster\n") }, true),
        // A client makes an error of it.
        Answer::Failed(failure) => return complain(failure),
    };
    if ok { said } else { Outcome::Failed }
}

fn of_status(status: &NodeStatus) -> String {
    let ready = if status.ready { styled(GOOD, "ready") } else { styled(BAD, "not ready") };
    let mut text = format!(
        "{}@{} of cluster {}: {ready}, {}\nlistening at {}, told to others: {}\ncertificate holds until {}\n",
        status.node,
        status.incarnation,
        status.cluster,
        counted(status.links as u64, "link"),
        status.listen,
        if status.advertise.is_empty() { "nothing".to_owned() } else { status.advertise.join(", ") },
        pingpong_node::quic::date(status.certificate_expires),
    );
    if let Some(store) = &status.store {
        let standing = match (store.member, store.recovering) {
            (true, true) => styled(BAD, "a member that recovers, and does not vote"),
            (true, false) => "a member".to_owned(),
            (false, _) => "no member".to_owned(),
        };
        let first = if store.first { ", its first" } else { "" };
        text +=
            &format!("store of epoch {}{first}: {}; {standing}\n", store.epoch, counted(store.slots as u64, "slot"));
    }
    let counted = status.counters.iter().filter(|(_, count)| **count > 0);
    let rows: Vec<Vec<String>> = counted.map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
    if !rows.is_empty() {
        text += &table(&["counted instead of delivered", ""], rows);
    }
    text
}

fn of_links(links: &[LinkStatus]) -> String {
    let rows = links.iter().map(|link| {
        let loss = 100.0 * link.lost_packets as f64 / link.sent_packets.max(1) as f64;
        vec![
            link.node.to_string(),
            link.incarnation.clone(),
            link.session.clone(),
            link.address.clone(),
            humantime::format_duration(Duration::from_secs(link.age_ms / 1_000)).to_string(),
            link.round_trip_us.map_or_else(|| "-".to_owned(), |micros| format!("{:.3} ms", micros as f64 / 1_000.0)),
            format!("{loss:.2} %"),
            size(link.queued_bytes),
        ]
    });
    table(&["node", "incarnation", "session", "address", "up", "round trip", "loss", "queued"], rows)
}

fn of_event(event: &WatchEvent) -> String {
    let WatchEvent { node, incarnation, skipped, .. } = event;
    let skipped =
        if *skipped > 0 { format!(" ({} before it folded)", counted(*skipped, "event")) } else { String::new() };
    match &event.reason {
        None => format!("{} {node}@{incarnation}{skipped}\n", styled(GOOD, "up  ")),
        Some(reason) => format!("{} {node}@{incarnation}: {reason}{skipped}\n", styled(BAD, "down")),
    }
}

fn of_counts(reading: &Reading) -> String {
    let producers: BTreeSet<&NodeName> = reading.consumers.iter().flat_map(|consumer| consumer.pings.keys()).collect();
    let head: Vec<&str> =
        ["consumer"].into_iter().chain(producers.iter().map(|name| name.as_str())).chain(["total"]).collect();
    let rows = reading.consumers.iter().map(|consumer| {
        let pings = producers.iter().map(|name| consumer.pings.get(*name).copied().unwrap_or_default().to_string());
        [consumer.node.to_string()].into_iter().chain(pings).chain([consumer.total.to_string()]).collect()
    });
    let mut text = table(&head, rows.collect::<Vec<_>>());
    for (node, reason) in &reading.failed {
        text += &format!("{node}: {}\n", styled(BAD, reason));
    }
    text
}

fn of_slot(slot: &SlotCount) -> String {
    format!("{} of {}@{}", slot.count, slot.node, slot.epoch)
}

const fn of_worth(worth: Worth) -> &'static str {
    match worth {
        Worth::AtLeast => "at least",
        Worth::Exact => "exact",
        Worth::Agreed => "a majority agrees",
        Worth::OneInstant => "at one instant",
    }
}

fn of_read(read: &CountsRead) -> String {
    let has_age = read.values.iter().any(|value| value.worth == Worth::AtLeast);
    let heard = |value: &ValueRead| match (value.worth, value.heard_ms) {
        (Worth::AtLeast, None) => "not in this life".to_owned(),
        (Worth::AtLeast, Some(millis)) if millis > 0 => {
            format!("{} ago", humantime::format_duration(Duration::from_secs(millis.div_ceil(1_000))))
        }
        _ => "now".to_owned(),
    };
    let rows = read.values.iter().map(|value| {
        let mut row = vec![value.node.to_string(), value.pings.to_string(), of_worth(value.worth).to_owned()];
        row.extend(has_age.then(|| heard(value)));
        row
    });
    let mut total = vec!["total".to_owned(), read.total.to_string(), of_worth(read.worth).to_owned()];
    total.extend(has_age.then(String::new));
    let head: &[&str] = if has_age { &["producer", "pings", "", "heard of"] } else { &["producer", "pings", ""] };
    let mut text = table(head, rows.chain([total]).collect::<Vec<_>>());
    if read.recovering {
        text += &format!("{}\n", styled(BAD, "this node has lost its store, and has not recovered yet"));
    }
    let list = |names: &[NodeName]| names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    let (from, missing) = match read.level {
        ReadLevel::Local => ("from this node alone", "did not answer"),
        ReadLevel::Fresh => ("from all who answered", "did not answer"),
        ReadLevel::Majority | ReadLevel::Snapshot => ("from members that hold it", "members that cannot be reached"),
    };
    text += &format!("{from}: {}\n", if read.from.is_empty() { "nobody".to_owned() } else { list(&read.from) });
    if !read.missing.is_empty() {
        text += &format!("{missing}: {}\n", styled(BAD, list(&read.missing)));
    }
    text + &styled(DIM, format!("{}\n", as_of(read)))
}

/// When the numbers were so.
fn as_of(read: &CountsRead) -> String {
    let took = read.took_ms;
    match read.level {
        ReadLevel::Local => "what this node has heard; of a producer that is linked it may still be behind".to_owned(),
        ReadLevel::Fresh if read.worth == Worth::Exact => {
            format!("as of an instant within the read, which took {took} ms; the total as well")
        }
        ReadLevel::Fresh => format!(
            "what is exact: as of an instant within the read, which took {took} ms; what is at least so much may be behind"
        ),
        ReadLevel::Majority => format!(
            "each number, and the total, as of an instant of its own within the read, which took {took} ms; `--read snapshot` gives all of one"
        ),
        ReadLevel::Snapshot => format!("all as of one instant within the read, which took {took} ms"),
    }
}

fn of_called(nodes: &[CalledNode]) -> String {
    let mut text = String::new();
    for node in nodes {
        let answer = match (&node.reply, &node.failure) {
            (Some(reply), _) => reply.to_string(),
            (None, failure) => styled(BAD, failure.as_deref().unwrap_or("no answer")),
        };
        text += &format!("{}: {answer}\n", node.node);
    }
    text
}
