//! The same seed gives the same order of events.

use crate::support::*;
use bytes::Bytes;
use pingpong_core::link::{Connection, LaneReceiver, LaneSender, Link, Priority};
use pingpong_transport_mem::{MemConnection, MemNetwork};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// What happened, when, in which order.
#[derive(Clone)]
struct Log(Arc<Mutex<String>>, Instant);

impl Log {
    fn note(&self, who: &str, what: &str) {
        writeln!(self.0.lock().unwrap(), "{:>12} {who} {what}", self.1.elapsed().as_nanos()).unwrap();
    }
}

/// Logs everything that one end of a connection sees.
fn watch(log: &Log, who: String, connection: Arc<MemConnection>) {
    let (log, lanes, its) = (log.clone(), Arc::clone(&connection), who.clone());
    let seen = log.clone();
    tokio::spawn(async move {
        while let Ok(mut lane) = lanes.accept().await {
            let (log, who) = (log.clone(), its.clone());
            tokio::spawn(async move {
                let mut chunks = [Bytes::new(), Bytes::new()];
                while let Ok(1..) = lane.recv(&mut chunks).await {
                    log.note(&who, &format!("read {chunks:?}"));
                    chunks.fill(Bytes::new());
                }
                log.note(&who, "lane over");
            });
        }
    });
    tokio::spawn(async move {
        while let Ok(datagram) = connection.recv_datagram().await {
            seen.note(&who, &format!("datagram {datagram:?}, {} packets", connection.packets()));
        }
        seen.note(&who, &format!("{:?}", connection.closed().await));
    });
}

/// Four hosts, all linked, on jittered paths with cuts, a stall, a crash and a restart.
async fn scenario(seed: u64) -> String {
    let log = Log(Arc::default(), Instant::now());
    let network = MemNetwork::new(seed);
    let hosts = ["a", "b", "c", "d"];
    let links = hosts.map(|host| bind(&network, host));
    let mut ends = Vec::new();
    for (i, from) in hosts.iter().enumerate() {
        for (j, to) in hosts.iter().enumerate() {
            network.delay(&at(from), &at(to), Duration::from_micros(1_500), Duration::from_millis(9));
            if i < j {
                let (near, far) = connect(&links[i], &links[j]).await;
                ends.push((format!("{from}-{to}"), Arc::new(near)));
                ends.push((format!("{to}-{from}"), Arc::new(far)));
            }
        }
    }
    for (who, end) in &ends {
        watch(&log, who.clone(), Arc::clone(end));
        for lane in 0..3 {
            let (end, who) = (Arc::clone(end), who.clone());
            tokio::spawn(async move {
                let Ok(mut sender) = end.open(Priority::Server).await else { return };
                for i in 0..20 {
                    if sender.send(Bytes::from(format!("{who} {lane} {i}"))).await.is_err() {
                        return;
                    }
                    end.send_datagram(Bytes::from(format!("{who} {lane} {i}")));
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            });
        }
    }
    let pause = || tokio::time::sleep(Duration::from_millis(10));
    pause().await;
    network.cut_one_way(&at("a"), &at("b"));
    network.partition(&[&[at("c")], &[at("d"), at("b")]]);
    pause().await;
    network.stall(&at("a"));
    pause().await;
    network.heal_all();
    network.resume(&at("a"));
    pause().await;
    network.crash(&at("d"));
    let again = bind(&network, "d");
    ends[0].1.close(word("enough"));
    let fresh = soon(links[0].dial(&at("d"), None)).await.unwrap();
    log.note("a", &format!("dialled {}", fresh.peer()));
    soon(again.accept()).await.unwrap();
    tokio::time::sleep(WAIT).await;
    log.0.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_order_of_events() {
    let first = scenario(42).await;
    assert!(first.lines().count() > 500, "too little happened:\n{first}");
    for what in ["read", "datagram", "reset by d", "ByPeer(b\"enough\")", "crashed", "dialled d"] {
        assert!(first.contains(what), "{what} is not in\n{first}");
    }
    assert_eq!(first, scenario(42).await);
    assert_ne!(first, scenario(43).await);
}
