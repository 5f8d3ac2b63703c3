//! Pings, and a reader that waits for them, at one store, in many orders: see [`crate::sync`].

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

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
        let store = Arc::new(MemoryStore::new(&node));
        let waits = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                block_on(async {
                    let mut changes = store.changes();
                    while store.counts().get(store.slot()) != Some(4) {
                        changes.changed().await.unwrap();
                    }
                });
            })
        };
        let producers = [(); 2].map(|()| {
            let store = Arc::clone(&store);
            thread::spawn(move || [(); 2].map(|()| store.ping(1).unwrap().count))
        });
        let mut numbers = producers.map(|producer| producer.join().unwrap()).concat();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4], "no number twice (P4)");
        waits.join().unwrap();
    });
}
