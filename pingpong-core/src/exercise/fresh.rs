//! What the owners of counts say, and everybody else who can be reached (P18).

use super::counts::Counts;
use super::ledger::Ledger;
use super::messages::{AskConsumer, AskProducer, CONSUMER, ConsumerSays, PRODUCER, ProducerSays};
use super::read::{FreshRead, FreshValue};
use crate::message::Unencodable;
use crate::name::NodeName;
use crate::server::TransportExt;
use crate::transport::{CallFailure, Replies, Targets, Transport};
use std::collections::BTreeSet;
use std::time::Duration;

/// Asks all producers, and all consumers beside them: where more than a few slots are known here, for what differs from those. A producer
/// that is the only one that its name ever had is exact.
pub(super) async fn fresh(
    transport: &dyn Transport,
    ledger: &Ledger,
    few: u32,
    deadline: Duration,
) -> Result<FreshRead, Unencodable> {
    let (slots, sums) = {
        let (counts, sums) = ledger.summed();
        (counts.len(), sums)
    };
    let question = if slots <= few as usize { AskConsumer::Counts } else { AskConsumer::Beyond(sums) };
    let producers = transport.call(&Targets::All, &PRODUCER, &AskProducer::Slots, deadline);
    let consumers = transport.call(&Targets::All, &CONSUMER, &question, deadline);
    let (producers, consumers) = tokio::join!(producers, consumers);
    Ok(put_together(ledger, producers?, consumers?))
}

fn put_together(ledger: &Ledger, producers: Replies<ProducerSays>, consumers: Replies<ConsumerSays>) -> FreshRead {
    // By now this node has what the consumers were told that it has, or more.
    let mut counts: Counts = ledger.counts().as_ref().clone();
    let (mut exact, mut answered) = (BTreeSet::new(), BTreeSet::new());
    let consumers_failed = consumers.failed;
    let mut heard = BTreeSet::new();
    for reply in consumers.replies {
        heard.insert(reply.node.name.clone());
        if let ConsumerSays::Counts(said) = reply.reply {
            counts.merge(&said);
        }
    }
    let mut owned = Counts::new();
    for reply in producers.replies {
        if let ProducerSays::Slots { counts: said, exact: is_exact } = reply.reply {
            let own = said.of(&reply.node.name);
            counts.merge(&own);
            owned.merge(&own);
            answered.insert(reply.node.name.clone());
            if is_exact {
                exact.insert(reply.node.name);
            }
        }
    }
    let value = |(name, pings): (NodeName, u128)| {
        // A consumer that has heard more than the owner said heard it later: what the owner said was true when it said so.
        let value =
            if exact.contains(&name) { FreshValue::Exact(owned.value(&name)) } else { FreshValue::AtLeast(pings) };
        (name, value)
    };
    let values: std::collections::BTreeMap<_, _> = counts.values().into_iter().map(value).collect();
    let members = ledger.members();
    // A node without a producer has never pinged, unless somebody knows better, or it is configured.
    let failed = producers.failed.iter().filter(|failed| failed.reason != CallFailure::NoSuchServer);
    let names = values.keys().chain(members.iter().flat_map(|members| members.names()));
    let names = names.chain(failed.map(|failed| &failed.name));
    // A member that does not say what it has heard may hide a name.
    let silent = consumers_failed.iter().map(|failed| &failed.name);
    let silent = silent.filter(|name| members.as_ref().is_some_and(|members| members.has(name)));
    let missing: BTreeSet<NodeName> = names.filter(|name| !answered.contains(*name)).chain(silent).cloned().collect();
    // One that answers for itself and not for others, or the other way round, has not answered all.
    let half = |name: &NodeName| missing.contains(name) || consumers_failed.iter().any(|failed| failed.name == *name);
    let answered = answered.into_iter().chain(heard).filter(|name| !half(name)).collect();
    FreshRead { total: values.values().map(|value| value.pings()).sum(), values, answered, missing }
}
