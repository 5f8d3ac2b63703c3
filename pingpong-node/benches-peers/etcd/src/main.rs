//! Puts and linearizable gets of 3 etcd members, by 1, 64 and 256 clients: the work that `pingpong-node bench acks --level majority` and
//! `bench reads` do.
//!
//! A put is answered when a majority has it on disk, as a ping at level majority; each client puts a key of its own. Clients are spread over the
//! members, which etcd is best at.

use etcd_client::Client;
use hdrhistogram::Histogram;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const CLIENTS: [usize; 3] = [1, 64, 256];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Put,
    Get,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(seconds), endpoints) = (arguments.next(), arguments.collect::<Vec<_>>()) else {
        return Err("say for how many seconds, and at which endpoints; `run` beside this crate does".into());
    };
    let duration = Duration::from_secs_f64(seconds.parse()?);
    let mut members = Vec::new();
    for endpoint in endpoints {
        members.push(Client::connect([endpoint], None).await?);
    }
    if members.is_empty() {
        return Err("name an endpoint at least, such as http://127.0.0.1:23791".into());
    }
    for work in [Work::Put, Work::Get] {
        for clients in CLIENTS {
            measure(&members, work, clients, duration).await?;
        }
    }
    Ok(())
}

async fn measure(members: &[Client], work: Work, clients: usize, duration: Duration) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now() + duration / 10;
    let end = begin + duration;
    let times = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
    let mut all = JoinSet::new();
    for number in 0..clients {
        let mut client = members[number % members.len()].clone();
        let times = Arc::clone(&times);
        all.spawn(async move {
            let key = format!("client-{number}");
            let mut count = 0_u64;
            loop {
                let began = Instant::now();
                if began >= end {
                    return Ok(());
                }
                count += 1;
                let done = match work {
                    Work::Put => client.put(key.as_str(), count.to_string(), None).await.map(drop),
                    Work::Get => client.get(key.as_str(), None).await.map(drop),
                };
                done?;
                if began >= begin {
                    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    let _ = times.lock().unwrap_or_else(PoisonError::into_inner).record(took);
                }
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        ended?.map_err(|error: etcd_client::Error| error.to_string())?;
    }
    let times = times.lock().unwrap_or_else(PoisonError::into_inner);
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    let [p50, p99] = [0.5, 0.99].map(|quantile| times.value_at_quantile(quantile) as f64 / 1e3);
    println!("{work:?} clients {clients}: {rate:.0}/s, p50 {p50:.0} us, p99 {p99:.0} us");
    Ok(())
}
