//! Pings, a reader that waits for them, and the task that talks to the store, at one ledger, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use super::ledger::Ledger;
use super::store::MemoryStore;
use crate::name::NodeName;
use crate::node::{Incarnation, Node};
use crate::sync::explore;
use shuttle::future::block_on;
use shuttle::thread;
use std::sync::Arc;

#[test]
fn pings_are_numbered_once_and_who_waits_for_them_is_woken() {
    explore(|| {
        let node = Node { name: NodeName::new("a").unwrap(), incarnation: Incarnation::new(1, 0) };
        let (ledger, writer) = Ledger::with_writer(MemoryStore, &node);
        let ledger = Arc::new(ledger);
        let writer = shuttle::future::spawn(writer);
        let waits = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || {
                block_on(async {
                    let mut changes = ledger.changes();
                    while ledger.counts().get(&ledger.slot()) != Some(4) {
                        changes.changed().await.unwrap();
                    }
                });
            })
        };
        let producers = [(); 2].map(|()| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || [(); 2].map(|()| block_on(ledger.ping(1)).unwrap().count))
        });
        let mut numbers = producers.map(|producer| producer.join().unwrap()).concat();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4], "no number twice (P4)");
        waits.join().unwrap();
        writer.abort();
    });
}
