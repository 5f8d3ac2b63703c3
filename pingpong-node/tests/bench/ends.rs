//! How the bench ends when it does not end by itself: signals, kills, and nodes that die.

use crate::bench;
use crate::program::{Program, signal, until_nodes};
use serde_json::Value;

/// Nodes that idle until somebody does something about it.
async fn begun(more: &str) -> Program {
    let program = Program::start(bench(&format!("mesh --nodes 3 --idle 1h {more}")));
    until_nodes(&program.mark(), 3).await;
    program
}

#[tokio::test]
async fn each_signal_ends_it_with_its_own_code_and_leaves_nothing() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let program = begun("").await;
        program.signal(&format!("-{name}")).await;
        let ended = program.ended_with_its_nodes().await;
        assert_eq!((ended.code, ended.output.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.errors.contains(&format!("interrupted by SIG{name}")), "{ended:?}");
    }
}

/// With a relay, and while producers cast without end.
#[tokio::test]
async fn whatever_it_is_doing_ctrl_c_leaves_nothing() {
    for arguments in [
        "abcast --count 1000000000000 --producers all --patience 600",
        "calls --duration 1h --beside same",
        "failover --rest 1h",
    ] {
        let program = Program::start(bench(arguments));
        until_nodes(&program.mark(), 3).await;
        program.signal("-INT").await;
        let ended = program.ended_with_its_nodes().await;
        assert_eq!((ended.code, ended.output.as_str()), (Some(130), ""), "{arguments}: {ended:?}");
    }
}

#[tokio::test]
async fn no_node_outlives_a_bench_that_was_killed() {
    for arguments in ["abcast --count 1000000000000 --patience 600", "mesh --nodes 3 --idle 1h"] {
        let program = Program::start(bench(arguments));
        let mark = program.mark();
        until_nodes(&mark, 3).await;
        program.signal("-KILL").await;
        assert_eq!(program.ended().await.code, None);
        until_nodes(&mark, 0).await;
    }
}

/// A bench that always says yes is worth nothing.
#[tokio::test]
async fn a_node_that_dies_behind_its_back_makes_it_fail_and_further_runs_are_not_tried() {
    for arguments in ["abcast --count 1000000000000", "mesh --nodes 3 --idle 1h", "failover --rest 1h"] {
        let program = Program::start(bench(&format!("{arguments} --patience 600 --json --runs 5")));
        let nodes = until_nodes(&program.mark(), 3).await;
        let victim = nodes.iter().find(|node| node.name == "n2").unwrap();
        signal(victim.id, "-KILL").await;
        let ended = program.ended_with_its_nodes().await;
        let result: Value = ended.json();
        let what = arguments.split(' ').next().unwrap();
        assert_eq!((ended.code, &result["ok"], &result["what"]), (Some(1), &false.into(), &what.into()), "{ended:?}");
        let reason = "the process of node n2 has ended (signal: 9";
        assert!(result["error"].as_str().unwrap().contains(reason) && ended.errors.contains(reason), "{ended:?}");
    }
}
