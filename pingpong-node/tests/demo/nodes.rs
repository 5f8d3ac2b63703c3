//! `demo-node`, the process of one node, without its demo.

use crate::program::{PATH, soon};
use pingpong_node::quic::{Authority, Validity};
use pingpong_node::{ClusterName, NodeName};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

fn node(errors: Stdio) -> Child {
    let mut command = Command::new(PATH);
    command.args(["demo-node", "--name", "n1"]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap()
}

fn start() -> Value {
    let day = Duration::from_secs(86_400);
    let authority = Authority::new(&ClusterName::new("demo").unwrap(), day).unwrap();
    let identity = authority.issue(&NodeName::new("n1").unwrap(), Validity::from_now(day)).unwrap();
    json!({ "start": {
        "advertise": "127.0.0.1:9",
        "seeds": ["127.0.0.1:9"],
        "authority": authority.certificate_pem(),
        "certificate": identity.chain_pem(),
        "key": identity.key_pem(),
    } })
}

/// Gives orders, the last of which may be followed by nothing, and returns the answers, the exit code and the log.
async fn told(orders: &str) -> (String, Option<i32>, String) {
    let mut child = node(Stdio::piped());
    child.stdin.take().unwrap().write_all(orders.as_bytes()).await.unwrap();
    let ended = soon("the end of a node", child.wait_with_output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), ended.status.code(), text(ended.stderr))
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why_and_ends_with_a_failure() {
    for (orders, words) in
        [("", "at its end"), ("hello\n", "expected value"), ("{\"look\":{\"majority\":false}}\n", "another order")]
    {
        let (answers, code, log) = told(orders).await;
        assert_eq!((answers.as_str(), code), ("", Some(1)), "{log}");
        assert!(log.contains(words) && log.contains("`pingpong-node demo` starts its nodes"), "{log}");
    }
    let mut start = start();
    start["start"]["key"] = "none".into();
    // Its standard input stays open: it does not end because that does.
    let mut child = node(Stdio::piped());
    let mut orders = child.stdin.take().unwrap();
    orders.write_all(format!("{start}\n").as_bytes()).await.unwrap();
    let ended = soon("the end of a node", child.wait_with_output()).await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(
        answer["failed"].as_str().unwrap().contains("node n1 cannot be started: the node's private key"),
        "{answer}"
    );
    drop(orders);
}

#[tokio::test]
async fn a_node_whose_log_cannot_be_written_starts_and_goes_on() {
    let mut child = node(OpenOptions::new().write(true).open("/dev/full").unwrap().into());
    let mut orders = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    orders.write_all(format!("{}\n", start()).as_bytes()).await.unwrap();
    let answer = soon("the start", answers.next_line()).await.unwrap().unwrap();
    assert!(answer.contains("started"), "{answer}");
    let dir = tempfile::tempdir().unwrap();
    let play = json!({ "play": { "nodes": 1, "dir": dir.path(), "first": true } }).to_string();
    for (order, answer) in [
        (play.as_str(), "done"),
        ("{\"ping\":3}", "done"),
        ("\"crash\"", "done"),
        ("\"recover\"", "done"),
        ("{\"look\":{\"majority\":false}}", "seen"),
    ] {
        orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        assert!(soon(order, answers.next_line()).await.unwrap().unwrap().contains(answer), "{order}");
    }
    drop(orders);
    assert!(soon("the end of a node", child.wait()).await.unwrap().success());
    let mut rest = String::new();
    soon("the end of its output", answers.into_inner().read_to_string(&mut rest)).await.unwrap();
    assert_eq!(rest, "");
}
