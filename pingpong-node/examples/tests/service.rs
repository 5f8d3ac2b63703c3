//! Two nodes of the service, operated by their sockets as `pingpong-node` does it.

use super::*;
use pingpong_node::control::{Answer as Said, CalledNode, Client, Request as Asked};
use pingpong_node::quic::{Authority, Validity};
use pingpong_node::{ClusterName, NodeName};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// A node of the service in that directory, whose stock serves only itself and `a`.
async fn begin(dir: &Path, authority: &Authority, name: &str, seeds: &[String]) -> (Daemon, ServerHandle) {
    let path = |end: &str| dir.join(format!("{name}.{end}"));
    let identity =
        authority.issue(&NodeName::new(name).unwrap(), Validity::from_now(Duration::from_secs(3_600))).unwrap();
    fs::write(dir.join("ca.pem"), authority.certificate_pem()).unwrap();
    fs::write(path("pem"), identity.chain_pem()).unwrap();
    fs::write(path("key"), identity.key_pem()).unwrap();
    fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "name = {name:?}\ncluster = \"shop\"\nlisten = \"127.0.0.1:0\"\nseeds = {seeds:?}\n\
         identity = {{ authority = {:?}, certificate = {:?}, key = {:?} }}\ncontrol.socket = {:?}\nservers.stock.allow = [\"a\"]\n",
        dir.join("ca.pem"),
        path("pem"),
        path("key"),
        path("sock"),
    );
    fs::write(path("toml"), text).unwrap();
    soon("its start", start(&path("toml"))).await.unwrap()
}

/// What each node says to that order, asked at the socket of one.
async fn call(dir: &Path, name: &str, request: Value) -> Vec<(String, Result<Value, String>)> {
    let (server, deadline_ms) = (ServerName::new("stock").unwrap(), 10_000);
    let call = Asked::Call { server, request, nodes: None, deadline_ms };
    let asked = async { Client::ask(&dir.join(format!("{name}.sock")), &call).await.unwrap().only().await.unwrap() };
    let Said::Called(nodes) = soon("the call", asked).await else { panic!("it was no call") };
    nodes.into_iter().map(said).collect()
}

fn said(node: CalledNode) -> (String, Result<Value, String>) {
    (node.node.to_string(), node.reply.ok_or_else(|| node.failure.unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_taken_by_whom_the_file_allows() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(&ClusterName::new("shop").unwrap(), Duration::from_secs(3_600)).unwrap();
    let (a, _stock_a) = begin(dir.path(), &authority, "a", &[]).await;
    let (b, _stock_b) = begin(dir.path(), &authority, "b", &[a.local_address().to_string()]).await;
    // The name that comes first chooses the link, and is the last to have it (N6).
    let mut events = a.transport().monitor();
    soon("the link", events.next()).await.unwrap();

    let all = |answer: Value| vec![("a".to_owned(), Ok(answer.clone())), ("b".to_owned(), Ok(answer))];
    assert_eq!(call(dir.path(), "a", json!({ "Put": ["tea", 3] })).await, all(json!({ "Left": 3 })));
    assert_eq!(call(dir.path(), "a", json!({ "Take": ["tea", 2] })).await, all(json!({ "Left": 1 })));
    assert_eq!(call(dir.path(), "a", json!({ "Take": ["tea", 2] })).await, all(json!({ "Only": 1 })));
    assert_eq!(call(dir.path(), "a", json!({ "Put": ["tea", u32::MAX] })).await, all(json!("NoRoom")));

    let refused = |call: Vec<(String, Result<Value, String>)>| assert_eq!(call, all(json!("NoRoom")));
    refused(call(dir.path(), "a", json!({ "Put": ["x".repeat(LONGEST + 1), 1] })).await);

    // The file of `a` does not name `b`; a node is always served by itself.
    let answers = call(dir.path(), "b", json!({ "Take": ["tea", 1] })).await;
    let [(_, Err(refused)), (_, Ok(left))] = &answers[..] else { panic!("{answers:?}") };
    assert!(refused.contains("not allowed"), "{refused}");
    assert_eq!(*left, json!({ "Left": 0 }));

    for (name, daemon) in [("a", a), ("b", b)] {
        let stop = async {
            Client::ask(&dir.path().join(format!("{name}.sock")), &Asked::Stop {}).await.unwrap().only().await
        };
        assert_eq!(soon("stop", stop).await.unwrap(), Said::Stopping {});
        assert_eq!(soon("the end", daemon.run()).await.exit_code(), 0);
    }
}

#[tokio::test]
async fn the_stock_outlives_a_crash_of_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(&ClusterName::new("shop").unwrap(), Duration::from_secs(3_600)).unwrap();
    let (_a, stock) = begin(dir.path(), &authority, "a", &[]).await;
    call(dir.path(), "a", json!({ "Put": ["tea", 3] })).await;
    soon("a crash", stock.crash()).await;
    let answers = call(dir.path(), "a", json!({ "Take": ["tea", 1] })).await;
    assert_eq!(answers, [("a".to_owned(), Ok(json!({ "Left": 2 })))]);
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("service.toml");
    let error = start(&file).await.unwrap_err().to_string();
    assert!(error.contains("service.toml"), "{error}");
    fs::write(&file, "name = \"a\"\n").unwrap();
    let error = start(&file).await.unwrap_err().to_string();
    assert!(error.contains("cluster"), "{error}");
}

#[test]
fn shelves_are_bounded_and_what_is_gone_takes_no_room() {
    let stock = Stock::default();
    for item in 0..ITEMS {
        assert_eq!(stock.carry_out(Order::Put(item.to_string(), 1)), Answer::Left(1));
    }
    let one_more = || Order::Put("one more".to_owned(), 1);
    assert_eq!(stock.carry_out(one_more()), Answer::NoRoom);
    assert_eq!(stock.carry_out(Order::Take("nothing".to_owned(), 0)), Answer::Left(0));
    assert_eq!(stock.0.lock().unwrap().len(), ITEMS);
    assert_eq!(stock.carry_out(Order::Put("0".to_owned(), 1)), Answer::Left(2));
    assert_eq!(stock.carry_out(Order::Take("1".to_owned(), 1)), Answer::Left(0));
    assert_eq!(stock.carry_out(one_more()), Answer::Left(1));
}
