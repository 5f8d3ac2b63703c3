//! From an address as text to addresses of sockets.
//!
//! The system's resolver blocks a thread, for as long as it likes: a name server that does not answer takes half a minute, and
//! nothing can make it stop sooner. So few names are looked up at a time, and a name that is being looked up is waited for by
//! all who dial it; a dial that is given up leaves its look-up to the next one.

use pingpong_core::Address;
use pingpong_core::link::DialError;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Threads that the system's resolver may block at once.
const LOOKUPS: usize = 8;

type Found = Result<Vec<SocketAddr>, String>;
type UnderWay = Arc<Mutex<HashMap<String, watch::Receiver<Option<Found>>>>>;

/// Looks up host names.
#[derive(Debug)]
pub(crate) struct Resolver {
    under_way: UnderWay,
    /// One for each name that is being looked up; they end with the resolver, though not the threads that are blocked then.
    tasks: Mutex<JoinSet<()>>,
    threads: Arc<Semaphore>,
    system: fn(&str) -> Found,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self::with(|host| match host.to_socket_addrs() {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err(error.to_string()),
        })
    }

    fn with(system: fn(&str) -> Found) -> Self {
        let (under_way, tasks) = (UnderWay::default(), Mutex::default());
        Self { under_way, tasks, threads: Arc::new(Semaphore::new(LOOKUPS)), system }
    }

    /// What `host:port` stands for now. Cancel safe.
    ///
    /// # Errors
    /// [`DialError::Address`] for what is no `host:port`, [`DialError::Unreachable`] for a name that is not found.
    pub(crate) async fn resolve(&self, address: &Address) -> Result<Vec<SocketAddr>, DialError> {
        match parse(address)? {
            Parsed::Literal(address) => Ok(vec![address]),
            Parsed::Name => {
                let found = self.look_up(address.as_str()).await;
                found.map_err(|words| DialError::Unreachable {
                    address: address.clone(),
                    words: format!("its name cannot be resolved: {words}"),
                })
            }
        }
    }

    async fn look_up(&self, host: &str) -> Found {
        let mut result = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(host) {
                Some(result) => result.clone(),
                None => {
                    let (sender, result) = watch::channel(None);
                    under_way.insert(host.to_owned(), result.clone());
                    self.start(host.to_owned(), sender);
                    result
                }
            }
        };
        match result.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err("it was not looked up".to_owned())),
            Err(_) => Err("the look-up was given up".to_owned()),
        }
    }

    fn start(&self, host: String, result: watch::Sender<Option<Found>>) {
        let (under_way, threads, system) = (Arc::clone(&self.under_way), Arc::clone(&self.threads), self.system);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let found = match threads.acquire_owned().await {
                Ok(thread) => {
                    let name = host.clone();
                    let looking = tokio::task::spawn_blocking(move || {
                        // Free again when the system has answered, whoever still waits for it.
                        let _thread = thread;
                        system(&name)
                    });
                    looking.await.unwrap_or_else(|error| Err(error.to_string()))
                }
                Err(error) => Err(error.to_string()),
            };
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&host);
            result.send_replace(Some(found));
        });
    }
}

/// Whether an address is one of this transport: `host:port`, an IPv6 address in brackets. Whether somebody is there is not asked.
///
/// # Errors
/// [`DialError::Address`] says what is wrong with it.
pub fn check_address(address: &Address) -> Result<(), DialError> {
    parse(address).map(|_| ())
}

enum Parsed {
    Literal(SocketAddr),
    Name,
}

fn parse(address: &Address) -> Result<Parsed, DialError> {
    let wrong = |words: &str| DialError::Address { address: address.clone(), words: words.to_owned() };
    let (host, port) = address.as_str().rsplit_once(':').ok_or_else(|| wrong("it must be host:port"))?;
    let port: u16 = port.parse().map_err(|_| wrong("its port must be a number of 1 to 65535"))?;
    if port == 0 {
        return Err(wrong("its port must not be 0"));
    }
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let host: IpAddr = literal.parse().map_err(|_| wrong("between the brackets must be an IPv6 address"))?;
        return Ok(Parsed::Literal(SocketAddr::new(host, port)));
    }
    if let Ok(host) = host.parse::<Ipv4Addr>() {
        return Ok(Parsed::Literal(SocketAddr::new(host.into(), port)));
    }
    if host.is_empty() || host.contains(':') {
        return Err(wrong("it must be host:port, an IPv6 address in brackets"));
    }
    Ok(Parsed::Name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[tokio::test]
    async fn literals_need_no_resolver() {
        let resolver = Resolver::with(|_| panic!("nothing to look up"));
        for (text, expected) in [("192.0.2.1:7", "192.0.2.1:7"), ("[2001:db8::1]:7", "[2001:db8::1]:7")] {
            assert_eq!(resolver.resolve(&address(text)).await, Ok(vec![expected.parse().unwrap()]));
        }
        for wrong in ["host", "host:0", "host:x", ":7", "2001:db8::1:7", "[2001:db8::1:7", "[host]:7"] {
            assert!(matches!(resolver.resolve(&address(wrong)).await, Err(DialError::Address { .. })), "{wrong}");
        }
    }

    /// A name server that does not answer must not take one thread for each dial.
    #[tokio::test]
    async fn dials_of_one_name_share_a_look_up_and_few_names_are_looked_up_at_once() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        static ANSWERS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        let resolver = Resolver::with(|host| {
            STARTED.fetch_add(1, Ordering::SeqCst);
            drop(ANSWERS.1.wait_while(ANSWERS.0.lock().unwrap(), |answers| !*answers).unwrap());
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], host.len() as u16))])
        });
        let names: Vec<Address> = (0..3 * LOOKUPS).map(|n| address(&format!("host{n}:7"))).collect();
        for _ in 0..5 {
            for name in &names {
                // Given up, as a dial that takes too long is.
                let given_up = tokio::time::timeout(Duration::from_millis(1), resolver.resolve(name)).await;
                assert!(given_up.is_err());
            }
        }
        let started = STARTED.load(Ordering::SeqCst);
        assert!(started <= LOOKUPS, "{started} threads are blocked");
        *ANSWERS.0.lock().unwrap() = true;
        ANSWERS.1.notify_all();
        for name in &names {
            assert_eq!(resolver.resolve(name).await.unwrap()[0].port(), name.as_str().len() as u16);
        }
        let started = STARTED.load(Ordering::SeqCst);
        assert!(started <= 2 * names.len(), "{started} look-ups of {} names", names.len());
        assert!(resolver.under_way.lock().unwrap().is_empty());
    }
}
