//! Who may link, and whom a server serves (A1, A3).

use crate::ground;
use crate::harness::{Greeted, Misbehaviour, STRANGER};
use crate::toolkit::{Answer, Cluster, Record, TestNode, Traffic, node, options, server, to};
use pingpong_core::inbox::ServerOptions;
use pingpong_core::session::Versions;
use pingpong_core::{CallFailure, ClusterName, Targets};

fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).expect("the suite uses valid cluster names")
}

pub(crate) async fn a_node_of_another_cluster_never_links(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    let mut stranger = options("x", &["a", "b"]);
    stranger.cluster = Some(cluster("another"));
    let x = c.start_with(stranger).await;
    events.quiet(c.t() * 2, "x is of another cluster").await;
    assert_eq!(x.list(), [], "nor does x link with anybody");
}

pub(crate) async fn a_node_without_an_identity_of_its_name_never_links(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let mut events = a.events();
    events.up(b.name()).await;
    let mut liar = options("x", &["a"]);
    liar.identity = Some(node("y"));
    let error = c.try_start(liar).await.expect_err("nobody would link with it (S1)");
    assert!(error.0.contains("configured as x") && error.0.contains("that of y"), "both names are told: {error}");
    assert!(error.0.contains(';'), "and the remedy: {error}");
    events.quiet(c.t() * 2, "x cannot prove its name").await;
}

pub(crate) async fn a_peer_that_says_another_name_than_it_proves_never_links(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = a.probe_with_events("events");
    probe.until("Up of b", |seen| seen.len() == 1).await;
    let told = c.harness().misbehave(a.place(), Misbehaviour::AnotherName).await;
    let Greeted::Refused(words) = &told else { panic!("it is not who it says: {told:?}") };
    assert!(words.contains(STRANGER) && words.contains(Misbehaviour::GHOST), "both names are told: {words}");
    // Behind whatever was told of it.
    Traffic::new(&a, to(&["a"]), &server("events")).cast().await;
    probe.until_number(a.name(), 0).await;
    let seen = probe.records();
    assert_eq!(seen.len(), 2, "it was never there, under either name: {seen:?}");
    assert_eq!(a.list(), [b.node()], "the link with b is another");
}

pub(crate) async fn a_handler_gets_the_authenticated_sender(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let probe = a.probe("s");
    for (number, sender) in [(1, &b), (2, &d), (3, &a)] {
        Traffic::new(sender, to(&["a"]), &server("s")).cast().await;
        let replies = sender.call(to(&["a"]), "s", number, c.timing().patience()).await;
        assert_eq!(replies.replies.len(), 1, "it is answered: {:?}", replies.failed);
        let records = probe.records();
        let last = &records[records.len() - 2..];
        let senders: Vec<_> = last.iter().filter_map(Record::node).collect();
        assert_eq!(senders, [&sender.node(), &sender.node()], "cast and call name the sender's life");
    }
}

pub(crate) async fn a_server_serves_only_those_that_it_names(c: &Cluster) {
    let [a, b, d] = c.linked(["a", "b", "d"]).await;
    let probe = a.probe_with("s", ServerOptions::new().allow_only([node("b")]), Answer::Echo);
    Traffic::new(&d, to(&["a"]), &server("s")).casts(4).await;
    let refused = d.call(to(&["a"]), "s", 4, c.timing().patience()).await;
    assert_eq!(refused.failed[0].reason, CallFailure::NotAllowed, "d is not named");
    Traffic::new(&b, to(&["a"]), &server("s")).cast().await;
    let served = b.call(to(&["a"]), "s", 1, c.timing().patience()).await;
    assert_eq!(served.replies.len(), 1, "b is: {:?}", served.failed);
    let local = a.call(Targets::node(node("a")), "s", 0, c.timing().patience()).await;
    assert_eq!(local.replies.len(), 1, "the local node is always served: {:?}", local.failed);
    assert_eq!(probe.numbers(d.name()), [], "nothing of d reached the handler");
    assert_eq!(probe.numbers(b.name()), [0, 1], "all of b did");
    assert_eq!(a.counters().not_allowed, 5, "four casts and a call were counted");
}

pub(crate) async fn a_server_of_nobody_serves_the_local_node_alone(c: &Cluster) {
    let [a, b] = c.linked(["a", "b"]).await;
    let probe = a.probe_with("s", ServerOptions::new().allow_only([]), Answer::Echo);
    let refused = b.call(to(&["a"]), "s", 1, c.timing().patience()).await;
    assert_eq!(refused.failed[0].reason, CallFailure::NotAllowed, "nobody is named");
    Traffic::new(&a, to(&["a"]), &server("s")).cast().await;
    probe.until_number(a.name(), 0).await;
}

pub(crate) async fn minor_versions_talk(c: &Cluster) {
    let a = with_a_seed(c).await;
    let own = Versions::CURRENT;
    let newer = Versions { newest_minor: own.newest_minor + 3, ..own };
    for versions in [own, newer] {
        for greeted in both_ways(c, &a, versions).await {
            assert_eq!(greeted, Greeted::Answered, "{own} and {versions} share a minor version");
        }
    }
}

/// A place that node `a` of these cases dials for ever, and where nobody lives.
const ELSEWHERE: &str = "elsewhere";

async fn with_a_seed(c: &Cluster) -> TestNode {
    c.start("a", &[ELSEWHERE]).await
}

/// What a node says to one of these versions that dials it, and to one that it dials.
async fn both_ways(c: &Cluster, a: &TestNode, versions: Versions) -> [Greeted; 2] {
    let own = ground::cluster();
    let greeted = c.harness().greet(a.place(), &own, versions).await;
    [greeted, c.harness().answer(&ELSEWHERE.into(), &own, versions).await]
}

async fn refuses_and_names_both(c: &Cluster, theirs: Versions) {
    let a = with_a_seed(c).await;
    let own = Versions::CURRENT;
    for greeted in both_ways(c, &a, theirs).await {
        let Greeted::Refused(words) = greeted else { panic!("{own} and {theirs} cannot talk: {greeted:?}") };
        for version in [own, theirs] {
            assert!(words.contains(&version.to_string()), "{version} is named: {words}");
        }
    }
    assert_eq!(a.list(), [], "and nobody is linked");
}

pub(crate) async fn major_versions_refuse_each_other_and_name_both(c: &Cluster) {
    let own = Versions::CURRENT;
    refuses_and_names_both(c, Versions { major: own.major + 1, ..own }).await;
}

pub(crate) async fn minor_versions_that_do_not_meet_refuse_each_other_and_name_both(c: &Cluster) {
    let own = Versions::CURRENT;
    let (oldest_minor, newest_minor) = (own.newest_minor + 1, own.newest_minor + 3);
    refuses_and_names_both(c, Versions { oldest_minor, newest_minor, ..own }).await;
}
