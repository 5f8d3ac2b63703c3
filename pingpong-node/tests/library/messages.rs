//! Several releases of one service in one cluster, as `docs/messages.md` rolls them out (A2).

use pingpong_node::dev::{Cluster, Kind};
use pingpong_node::message::{Body, Message, MessageType, Undecodable, Unencodable, decode_exactly};
use pingpong_node::server::spawn;
use pingpong_node::{
    CallFailure, Context, Node, NodeName, Server, ServerHandle, ServerName, SpawnOptions, Targets, Transport,
    TransportExt, message, request,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// What release 1 knows.
mod first {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Price(pub(super) u64);
    message!(Price, id = 1, version = 1);

    #[derive(Serialize, Deserialize)]
    pub(super) struct Ask;
    request!(Ask => Price, id = 2, version = 1);
}

/// What the releases after it know: a price has a currency. They read both shapes, and write version `WRITES`: release 2 the old one,
/// release 3 the new one.
mod later {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Price<const WRITES: u8> {
        pub(super) cents: u64,
        pub(super) currency: String,
    }

    /// The shape of version 2, whoever writes it.
    #[derive(Serialize, Deserialize)]
    struct Price2(u64, String);
    message!(Price2, id = 1, version = 2);

    impl<const WRITES: u8> Message for Price<WRITES> {
        const ID: u16 = first::Price::ID;
        const VERSION: u8 = WRITES;

        fn encode_to(&self, body: &mut Body) -> Result<(), Unencodable> {
            match WRITES {
                1 => first::Price(self.cents).encode_to(body),
                _ => Price2(self.cents, self.currency.clone()).encode_to(body),
            }
        }

        fn decode(kind: MessageType, body: &[u8]) -> Result<Self, Undecodable> {
            let (cents, currency) = match kind {
                first::Price::KIND => (first::Price::decode(kind, body)?.0, "EUR".to_owned()),
                _ => decode_exactly::<Price2>(kind, body).map(|Price2(cents, currency)| (cents, currency))?,
            };
            Ok(Self { cents, currency })
        }
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Ask<const WRITES: u8>;
    request!(Ask<1> => Price<1>, id = 2, version = 1);
    request!(Ask<2> => Price<2>, id = 2, version = 1);
}

/// A price as a test writes it down, and sees it.
trait Shown: Message + Sync {
    fn of(cents: u64) -> Self;
    fn shown(&self) -> String;
}

impl Shown for first::Price {
    fn of(cents: u64) -> Self {
        Self(cents)
    }

    fn shown(&self) -> String {
        self.0.to_string()
    }
}

impl<const WRITES: u8> Shown for later::Price<WRITES> {
    fn of(cents: u64) -> Self {
        Self { cents, currency: "CHF".to_owned() }
    }

    fn shown(&self) -> String {
        format!("{} {}", self.cents, self.currency)
    }
}

/// The service in one release: it keeps the price that it was told last, and says it.
struct Shop<P, A> {
    told: watch::Sender<String>,
    release: std::marker::PhantomData<fn() -> (P, A)>,
}

impl<P: Shown, A: pingpong_node::message::Request<Reply = P> + DeserializeOwned> Server for Shop<P, A> {
    type Cast = P;
    type Call = A;
    type Info = ();

    async fn cast(&mut self, _: &Node, price: P, _: &mut Context<Self>) {
        self.told.send_replace(price.shown());
    }

    async fn call(&mut self, _: &Node, _: A, _: &mut Context<Self>) -> P {
        P::of(7)
    }
}

/// A node that runs one release.
struct Release<P, A> {
    node: Arc<dyn Transport>,
    told: watch::Sender<String>,
    ask: A,
    price: std::marker::PhantomData<P>,
    _server: ServerHandle,
}

fn shop() -> ServerName {
    ServerName::new("shop").unwrap()
}

impl<P: Shown, A: pingpong_node::message::Request<Reply = P>> Release<P, A> {
    fn new(cluster: &Cluster, name: &str, ask: A) -> Self {
        let (node, told) = (Arc::clone(cluster.node(name).unwrap()), watch::Sender::new(String::new()));
        let of_server = told.clone();
        let factory = move || Shop::<P, A> { told: of_server.clone(), release: std::marker::PhantomData };
        let _server = spawn(Arc::clone(&node), shop(), factory, SpawnOptions::default()).unwrap();
        Self { node, told, ask, price: std::marker::PhantomData, _server }
    }

    fn name(&self) -> NodeName {
        self.node.node().name
    }

    async fn tells<Q: Shown, B: pingpong_node::message::Request<Reply = Q>>(&self, other: &Release<Q, B>, cents: u64) {
        let sent = self.node.cast_to(&Targets::node(other.name()), &shop(), &P::of(cents)).await.unwrap();
        assert_eq!(sent.accepted.len(), 1);
    }

    /// The other tells it a price.
    async fn hears<Q: Shown, B: pingpong_node::message::Request<Reply = Q>>(&self, other: &Release<Q, B>, price: &str) {
        let mut told = self.told.subscribe();
        other.tells(self, price.split(' ').next().unwrap().parse().unwrap()).await;
        let seen = timeout(PATIENCE, told.wait_for(|told| told == price)).await;
        assert!(seen.is_ok(), "{} was told {price:?}, and has {:?}", self.name(), self.told.borrow());
    }

    async fn asks(&self, name: NodeName) -> Result<String, CallFailure> {
        let answers = self.node.call(&Targets::node(name), &shop(), &self.ask, PATIENCE).await.unwrap();
        answers.into_one().map(|answer| answer.reply.shown())
    }
}

#[tokio::test]
async fn a_release_beside_the_one_before_it_understands_it_and_is_understood() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["r1", "r2", "r3"]).await.unwrap();
        let r1 = Release::new(&cluster, "r1", first::Ask);
        let r2 = Release::new(&cluster, "r2", later::Ask::<1>);
        let r3 = Release::new(&cluster, "r3", later::Ask::<2>);
        // First step: releases 1 and 2, which writes what 1 reads.
        r1.hears(&r2, "10").await;
        r2.hears(&r1, "11 EUR").await;
        assert_eq!(r1.asks(r2.name()).await.as_deref(), Ok("7"), "{kind}");
        assert_eq!(r2.asks(r1.name()).await.as_deref(), Ok("7 EUR"), "{kind}");
        // Second step: releases 2 and 3, which writes the new shape.
        r2.hears(&r3, "12 CHF").await;
        r3.hears(&r2, "13 EUR").await;
        assert_eq!(r2.asks(r3.name()).await.as_deref(), Ok("7 CHF"), "{kind}");
        assert_eq!(r3.asks(r2.name()).await.as_deref(), Ok("7 EUR"), "{kind}");
        for release in [&r1.node, &r2.node, &r3.node] {
            assert_eq!(release.counters().not_decodable, 0, "{kind}: nothing was lost on the way");
        }
    }
}

#[tokio::test]
async fn a_release_that_was_skipped_is_noticed_and_costs_no_link() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["r1", "r3"]).await.unwrap();
        let r1 = Release::new(&cluster, "r1", first::Ask);
        let r3 = Release::new(&cluster, "r3", later::Ask::<2>);
        let mut events = r1.node.monitor();
        assert!(timeout(PATIENCE, events.next()).await.unwrap().unwrap().is_up());
        // The new one understands the old one, and the old one not the new one.
        r3.hears(&r1, "11 EUR").await;
        assert_eq!(r3.asks(r1.name()).await.as_deref(), Ok("7 EUR"), "{kind}");
        r3.tells(&r1, 12).await;
        assert_eq!(
            r1.asks(r3.name()).await,
            Err(CallFailure::NotDecodable),
            "{kind}: asked, it answers in the new shape"
        );
        // Calls are delivered after the casts before them (C2).
        assert_eq!(r3.asks(r1.name()).await.as_deref(), Ok("7 EUR"), "{kind}: the link is there");
        assert_eq!(r1.node.counters().not_decodable, 1, "{kind}: the cast was counted");
        assert_eq!(*r1.told.borrow(), "", "{kind}: and not handled");
        assert!(timeout(Duration::ZERO, events.next()).await.is_err(), "{kind}: nobody went down");
    }
}
