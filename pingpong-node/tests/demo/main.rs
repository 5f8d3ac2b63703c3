//! `pingpong-node demo` as a user runs it: its result, its exit code, and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

#[cfg(all(feature = "quic", target_os = "linux"))]
mod ends;
#[cfg(all(feature = "quic", target_os = "linux"))]
mod nodes;
#[path = "../support/program.rs"]
mod program;
#[cfg(all(feature = "quic", target_os = "linux"))]
mod surroundings;

use program::{Program, demo};
use serde_json::Value;

/// Steps of a play: the last three need nodes that keep their counts in files.
const STEPS: usize = if cfg!(feature = "daemon") { 11 } else { 8 };

/// Plays to the end, and checks the result and that nothing is left.
async fn is_right(transport: &str, nodes: usize) {
    let program = Program::start(demo(&["--json", "--transport", transport, "--nodes", &nodes.to_string()]));
    let ended = program.ended().await;
    let said = format!("{ended:?}");
    assert_eq!(ended.code, Some(0), "{said}");
    assert!(ended.errors.is_empty(), "nobody watches: {said}");
    let result = ended.json();
    assert_eq!((&result["ok"], result.get("error")), (&true.into(), None), "{said}");
    assert_eq!((&result["transport"], &result["nodes"]), (&transport.into(), &nodes.into()), "{said}");
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.len(), STEPS, "{said}");
    for step in steps {
        assert_eq!((&step["ok"], step.get("error")), (&true.into(), None), "{said}");
        assert_eq!(step["expected"], step["seen"], "{said}");
        for look in step["seen"].as_object().unwrap().values() {
            assert!(look["links"].is_array() && look["counts"].is_object(), "{said}");
        }
    }
    let seen = |step: usize| &steps[step]["seen"];
    assert_eq!(seen(0)["n1"]["links"].as_array().unwrap().len(), nodes - 1, "{said}");
    assert_eq!(seen(1)["n2"]["counts"]["n1"], 10, "{said}");
    assert_eq!(seen(2)["n2"]["counts"]["n2"], 20, "it has its own pings back: {said}");
    assert_eq!(seen(3).as_object().unwrap().len(), nodes - 1, "one is killed: {said}");
    let last = format!("n{nodes}");
    assert_ne!(seen(5)["n1"]["counts"], seen(5)[last]["counts"], "there is a partition: {said}");
    let everybody: Vec<&Value> = seen(6).as_object().unwrap().values().map(|look| &look["counts"]).collect();
    assert!(everybody.iter().all(|counts| **counts == *everybody[0]), "all agree: {said}");
    if let Some(last_step) = steps.get(10) {
        let says = |node: &str| last_step["seen"][node]["majority"].clone();
        assert_eq!(says(&format!("n{nodes}")), "refused", "{said}");
        assert_eq!(says("n1").is_object(), nodes > 2, "{said}");
    }
}

#[cfg(feature = "mem")]
#[tokio::test]
async fn every_count_is_right_in_memory() {
    for nodes in [2, 3, 4] {
        is_right("mem", nodes).await;
    }
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn every_count_is_right_over_quic() {
    for nodes in [2, 3, 4] {
        is_right("quic", nodes).await;
    }
}

#[tokio::test]
async fn without_a_terminal_it_says_in_plain_text_how_each_step_went() {
    let ended = Program::start(demo(&[])).ended().await;
    let text = &ended.output;
    assert_eq!(ended.code, Some(0), "{text}");
    assert!(text.is_ascii() && !text.contains(['\x1b', '\r']), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), STEPS, "{text}");
    assert!(text.contains("20/20"), "{text}");
}

#[tokio::test]
async fn what_is_not_possible_is_refused_with_the_reason() {
    let wrong =
        [(["--nodes", "1"], "2..=16"), (["--transport", "pigeon"], "possible values"), (["--patience", "0"], "1..")];
    for (arguments, reason) in wrong {
        let ended = Program::start(demo(&arguments)).ended().await;
        assert_eq!(ended.code, Some(2));
        assert!(ended.errors.contains(reason), "{ended:?}");
    }
}

#[tokio::test]
async fn the_exit_codes_are_documented_where_users_look() {
    let ended = Program::start(demo(&["--help"])).ended().await;
    for code in ["0 ", "1 ", "2 ", "128+n", "SIGHUP 129", "SIGINT 130", "SIGQUIT 131", "SIGTERM 143"] {
        assert!(ended.output.split_once("Exit codes:").unwrap().1.contains(code), "{code}: {}", ended.output);
    }
}
