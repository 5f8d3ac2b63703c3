//! Running nodes that are asked and told by their control sockets.

use crate::cluster::{Cluster, soon};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test]
async fn pings_are_counted_by_all_and_shown() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    let (_one, _two) = cluster.pair().await;
    let pinged = cluster.ask("n1", &["ping", "100"]).await;
    assert_eq!((&pinged["pinged"]["pings"], &pinged["pinged"]["done"]), (&100.into(), &true.into()));
    let own = cluster.ask("n1", &["status"]).await;
    let slot = json!({ "node": "n1", "epoch": own["incarnation"], "count": 100 });
    assert_eq!(pinged["pinged"]["slot"], slot, "an incarnation has one form");
    // Ten groups, each counted apart.
    cluster.asked("n2", &["ping", "20", "--rate", "200"]).await.ok();
    // Counts are told after the ping is answered: asked until they are there.
    let counts = soon("equal counts", async {
        loop {
            let counts = cluster.ask("n1", &["counts"]).await;
            let all = counts["consumers"].as_array().unwrap();
            if all.iter().all(|consumer| consumer["total"] == 120) {
                return counts;
            }
        }
    })
    .await;
    assert_eq!(counts["consumers"][1], json!({ "node": "n2", "pings": { "n1": 100, "n2": 20 }, "total": 120 }));
    let text = cluster.asked("n1", &["counts"]).await.ok().output();
    let row: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(row, ["n2", "100", "20", "120"], "{text}");
}

#[tokio::test]
async fn links_are_listed_watched_reset_and_forgotten() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    let (_one, two) = cluster.pair().await;
    let nodes = cluster.ask("n1", &["nodes"]).await;
    let link = &nodes[0];
    assert_eq!((&link["node"], nodes.as_array().unwrap().len()), (&"n2".into(), 1));
    assert_eq!(link["address"], cluster.address("n2").await.as_str());
    assert_eq!(link["session"], cluster.ask("n2", &["nodes"]).await[0]["session"], "both sides know it by one id");
    let mut events = Lines::watch(&cluster, "n1").await;
    assert_eq!(events.next().await["event"]["up"], true);
    cluster.asked("n1", &["disconnect", "n2"]).await.ok();
    let down = events.next().await;
    assert_eq!((&down["event"]["up"], &down["event"]["reason"]), (&false.into(), &"disconnected by command".into()));
    assert_eq!(events.next().await["event"]["up"], true, "it comes back");
    cluster.asked("n1", &["disconnect", "nobody"]).await.fails(1, "that node is not linked, or not known, there");
    cluster.asked("n1", &["forget", "nobody"]).await.fails(1, "that node is not linked, or not known, there");
    two.signal("-KILL").await;
    assert_eq!(events.next().await["event"]["reason"], "lost");
    cluster.asked("n1", &["forget", "n2"]).await.ok();
    let status = cluster.ask("n1", &["status"]).await;
    assert_eq!((&status["links"], &status["ready"]), (&0.into(), &true.into()));
}

#[tokio::test]
async fn servers_are_called_in_json() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    let (_one, _two) = cluster.pair().await;
    cluster.ask("n1", &["ping", "7"]).await;
    let called = cluster.ask("n1", &["call", "producer", "\"Slots\""]).await;
    assert_eq!(
        called,
        json!([{ "node": "n1", "reply": { "slots": { "n1": 7 } } }, { "node": "n2", "reply": { "slots": { "n2": 0 } } }])
    );
    let some = cluster.asked("n2", &["call", "producer", "\"Slots\"", "--nodes", "n1,nx", "--json"]).await;
    assert_eq!(some.code(), Some(1), "one of them failed");
    assert_eq!(some.json()[1], json!({ "node": "nx", "failure": "not linked", "sent": false }));
    cluster.asked("n1", &["call", "producer", "{}"]).await.fails(1, "producer does not take that");
    let unknown = cluster.asked("n1", &["call", "nobody", "{}"]).await;
    unknown.fails(1, "no server named nobody takes JSON on this node; those that do: consumer, producer");
    cluster.asked("n1", &["call", "producer", "Slots"]).await.fails(2, "a text stands in quotes");
}

#[tokio::test]
async fn a_server_serves_whom_the_configuration_names() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    cluster.configure("n1", "", "[servers.consumer]\nallow = []");
    let _one = cluster.start("n1").await;
    let seed = cluster.address("n1").await;
    cluster.configure("n2", &format!("seeds = [\"{seed}\"]\nmin_links = 1"), "");
    let _two = cluster.start("n2").await;
    let counts = cluster.asked("n2", &["counts", "--json"]).await;
    assert_eq!((counts.code(), &counts.json()["failed"]), (Some(1), &json!({ "n1": "not allowed" })));
    cluster.ask("n1", &["counts"]).await;
}

#[tokio::test]
async fn a_node_leaves_when_it_is_told_to() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    let (one, mut two) = cluster.pair().await;
    cluster.asked("n1", &["stop"]).await.ok();
    let (code, log) = one.ended().await;
    assert_eq!(code, Some(0), "{log}");
    two.says("reason=left, everything was handed over").await;
    assert!(!cluster.path().join("n1.sock").exists(), "nothing is left behind");
    cluster.asked("n1", &["status"]).await.fails(69, "no node answers at n1.sock");
    two.signal("-TERM").await;
    let (code, log) = two.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("asked to stop"), "{log}");
}

#[tokio::test]
async fn readiness_is_said_over_http() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    cluster.configure("n1", "", "");
    let _one = cluster.start("n1").await;
    let seed = cluster.address("n1").await;
    // A port that is free now: health has no port 0 to be asked for.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    cluster.configure("n2", "min_links = 1", &format!("[health]\nlisten = \"{free}\""));
    let mut lonely = cluster.spawn(&["run", "-c", "n2.toml"]);
    lonely.says("started").await;
    let get = async |path: &str| {
        let mut stream = soon("a connection", async {
            loop {
                if let Ok(stream) = TcpStream::connect(free).await {
                    return stream;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        soon("an answer", stream.read_to_string(&mut text)).await.unwrap();
        text
    };
    assert!(get("/health").await.starts_with("HTTP/1.1 200 "));
    let not_ready = get("/ready").await;
    assert!(not_ready.starts_with("HTTP/1.1 503 ") && not_ready.contains("\"links\":0"), "{not_ready}");
    assert!(get("/nothing").await.starts_with("HTTP/1.1 404 "));
    // Waited for: the next one uses its socket.
    lonely.signal("-KILL").await;
    lonely.ended().await;
    let ready = cluster.spawn(&["run", "-c", "n2.toml", "--seeds", &seed]);
    let mut ready = ready;
    ready.says("ready").await;
    assert!(get("/ready").await.starts_with("HTTP/1.1 200 "));
    let metrics = get("/metrics").await;
    let helps: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# HELP")).collect();
    let texts: BTreeSet<&str> = helps.iter().filter_map(|line| line.splitn(4, ' ').last()).collect();
    assert_eq!(texts.len(), helps.len(), "each has a text of its own: {metrics}");
    for line in
        ["pingpong_links 1", "pingpong_ready 1", "pingpong_no_such_server_total 0", "{peer=\"n1\"}", "pingpong_tasks "]
    {
        assert!(metrics.contains(line), "{line} is missing: {metrics}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_words() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let _one = cluster.start("n1").await;
    let path = cluster.path().join("n1.sock");
    let ask = async |text: &str| ask(&path, text).await;
    for wrong in ["\n", "{}\n", "{\"ping\":{\"count\":-1}}\n", "{\"dance\":{}}\n"] {
        let answer = ask(wrong).await;
        assert_eq!(answer["failed"]["kind"], "request", "{answer}");
    }
    let answer = ask("{\"ping\":{\"count\":1,\"rate\":0}}\n").await;
    assert!(answer["failed"]["words"].as_str().unwrap().contains("0.001 to 1000000000"), "{answer}");
    cluster.asked("n1", &["status"]).await.ok();
}

/// Says this to a control socket; the first line that it answers.
pub(crate) async fn ask(path: &Path, text: &str) -> Value {
    Lines::ask(path, text).await.next().await
}

/// Lines of JSON.
pub(crate) struct Lines(tokio::io::Lines<BufReader<UnixStream>>);

impl Lines {
    async fn ask(path: &Path, text: &str) -> Self {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        Self(BufReader::new(stream).lines())
    }

    /// The events of a node.
    pub(crate) async fn watch(cluster: &Cluster, name: &str) -> Self {
        Self::ask(&cluster.path().join(format!("{name}.sock")), "{\"watch\":{}}\n").await
    }

    pub(crate) async fn next(&mut self) -> Value {
        let line = soon("a line", self.0.next_line()).await.unwrap().expect("there is one more");
        serde_json::from_str(&line).unwrap()
    }
}
