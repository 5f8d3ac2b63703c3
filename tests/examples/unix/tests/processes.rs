//! Three processes: this one, and two more of this very test, which run the program.

use crate::node::{self, Ask, Process, teller};
use pingpong_core::server::TransportExt;
use pingpong_core::{DownReason, NodeChange, NodeEvents, Targets};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::timeout;

/// Tells a process of this test which node it is.
const NODE: &str = "PINGPONG_UNIX_NODE";
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with this handle.
struct Started(Child);

impl Started {
    fn new(dir: &Path, name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "tests::processes::nodes_of_three_processes_are_one_cluster"]);
        command.env(NODE, name).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Ended already, or ended now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn next(events: &mut NodeEvents) -> (String, NodeChange) {
    let event = timeout(PATIENCE, events.next()).await.expect("an event comes").expect("the node runs");
    (event.node.name.to_string(), event.change)
}

#[test]
fn nodes_of_three_processes_are_one_cluster() {
    if let Ok(name) = std::env::var(NODE) {
        return node::run(&std::env::current_dir().unwrap(), &name).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let a = node::start(dir.path(), "a").await.unwrap();
        let mut events = a.monitor();
        let mut b = Started::new(dir.path(), "b");
        assert_eq!(next(&mut events).await, ("b".to_owned(), NodeChange::Up));
        let c = Started::new(dir.path(), "c");
        assert_eq!(next(&mut events).await, ("c".to_owned(), NodeChange::Up));
        let others = Targets::Nodes(a.list().into_iter().map(|node| node.name).collect());
        let answers = loop {
            // Their servers are registered a moment after their links are up.
            let answers = a.call(&others, &teller().unwrap(), &Ask, PATIENCE).await.unwrap();
            if answers.failed.is_empty() {
                break answers.replies;
            }
            tokio::task::yield_now().await;
        };
        let processes: Vec<Process> = answers.into_iter().map(|answer| answer.reply).collect();
        assert_eq!(processes, [Process(b.0.id()), Process(c.0.id())], "each answers for its own process");
        // A process that is killed says nothing; its line does.
        drop(c);
        assert_eq!(next(&mut events).await, ("c".to_owned(), NodeChange::Down(DownReason::Lost)));
        let _c = Started::new(dir.path(), "c");
        assert_eq!(next(&mut events).await, ("c".to_owned(), NodeChange::Up));
        // One whose input ends leaves.
        drop(b.0.stdin.take());
        assert_eq!(next(&mut events).await, ("b".to_owned(), NodeChange::Down(DownReason::Left { flushed: true })));
        assert!(b.0.wait().unwrap().success());
        a.shutdown(PATIENCE).await;
    });
}
