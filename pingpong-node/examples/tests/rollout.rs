//! What a roll-out must not leave out, on each transport of the build.

use super::*;
use pingpong_node::dev::{Cluster, Kind};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn names<const N: usize>(names: [&str; N]) -> Vec<NodeName> {
    names.map(|name| NodeName::new(name).unwrap()).to_vec()
}

fn agent() -> ServerName {
    ServerName::new("agent").unwrap()
}

async fn run(cluster: &Cluster, fleet: &[NodeName], revision: u64, within: Duration) -> Report {
    let node = Arc::clone(cluster.node("a").unwrap());
    let settings = Settings { revision, workers: 4 };
    let (agent, started) = (agent(), Instant::now());
    let rolled = roll_out(&*node, &agent, fleet, &settings, within);
    let report = timeout(PATIENCE, rolled).await.expect("it ends").unwrap();
    assert!(started.elapsed() < within + PATIENCE, "by its deadline");
    assert!(report.keys().eq(fleet.iter()), "each node is in it once: {report:?}");
    report
}

fn agents(cluster: &Cluster) -> Vec<ServerHandle> {
    cluster.nodes().map(|node| Agent::spawn(node, &agent()).unwrap()).collect()
}

/// Longer than any test waits: whoever returned did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_node_that_comes_late_is_waited_for() {
    for kind in Kind::ALL {
        let mut cluster = Cluster::start_on(*kind, ["a", "b"]).await.unwrap();
        let _agents = agents(&cluster);
        let node = Arc::clone(cluster.node("a").unwrap());
        let (fleet, settings) = (names(["a", "b", "late"]), Settings { revision: 1, workers: 4 });
        let agent = agent();
        let comes = async { Agent::spawn(cluster.add("late").await.unwrap(), &agent).unwrap() };
        let (report, _late) = tokio::join!(roll_out(&*node, &agent, &fleet, &settings, LONG), comes);
        let report = report.unwrap();
        assert!(report.len() == 3 && report.values().all(|one| matches!(one, Outcome::Has(1))), "{kind}: {report:?}");
    }
}

#[tokio::test]
async fn whoever_does_not_answer_is_named_with_the_reason() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["a", "b"]).await.unwrap();
        let _agent = Agent::spawn(cluster.node("a").unwrap(), &agent()).unwrap();
        let report = run(&cluster, &names(["a", "absent", "b"]), 1, Duration::from_millis(1_500)).await;
        let reasons: Vec<_> = report.values().collect();
        assert!(matches!(reasons[0], Outcome::Has(1)), "{kind}: {report:?}");
        assert!(matches!(reasons[1], Outcome::Unanswered(CallFailure::NotLinked)), "{kind}: {report:?}");
        assert!(matches!(reasons[2], Outcome::Unanswered(CallFailure::NoSuchServer)), "{kind}: {report:?}");
    }
}

#[tokio::test]
async fn what_only_a_person_can_change_is_not_waited_for() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["a", "b"]).await.unwrap();
        let _agent = Agent::spawn(cluster.node("a").unwrap(), &agent()).unwrap();
        let only_itself = SpawnOptions::default().allow_only([]);
        let settings = watch::Sender::new(Settings::default());
        let factory = move || Agent(settings.clone());
        let _strict = spawn(Arc::clone(cluster.node("b").unwrap()), agent(), factory, only_itself).unwrap();
        let report = run(&cluster, &names(["a", "b"]), 1, LONG).await;
        let b = &report[&NodeName::new("b").unwrap()];
        assert!(matches!(b, Outcome::Unanswered(CallFailure::NotAllowed)), "{kind}: {report:?}");
        let none = Settings { revision: 2, workers: 0 };
        let a = cluster.node("a").unwrap();
        let refused = roll_out(&**a, &agent(), &names(["a"]), &none, LONG).await.unwrap();
        assert!(refused.values().all(|one| matches!(one, Outcome::Refused(_))), "{kind}: {refused:?}");
    }
}

#[tokio::test]
async fn asking_twice_changes_nothing_and_an_older_revision_neither() {
    for kind in Kind::ALL {
        let cluster = Cluster::start_on(*kind, ["a", "b"]).await.unwrap();
        let (agents, fleet) = (agents(&cluster), names(["a", "b"]));
        for (revision, in_force) in [(2, 2), (2, 2), (1, 2)] {
            // The link is reset each time: the roll-out meets it down, or coming up.
            cluster.node("a").unwrap().disconnect(&fleet[1]).await;
            let report = run(&cluster, &fleet, revision, LONG).await;
            let as_expected = |one: &Outcome| matches!(one, Outcome::Has(revision) if *revision == in_force);
            assert!(report.values().all(as_expected), "{kind}: {report:?}");
        }
        agents[1].crash().await;
        let report = run(&cluster, &fleet, 1, LONG).await;
        assert!(report.values().all(|one| matches!(one, Outcome::Has(2))), "{kind}: a crash costs nothing: {report:?}");
    }
}
