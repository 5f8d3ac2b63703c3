//! How the demo ends when it does not end by itself: signals, kills, pauses, and nodes that die.

use crate::program::{Node, PATH, Program, demo, nodes_of, signal, until_nodes};
use std::io::Write;
use std::time::Duration;
use tokio::process::Command;

const MET: &str = "nodes find each other";

async fn begun() -> Program {
    let mut program = Program::start(demo(&["--transport", "quic"]));
    program.says(MET).await;
    assert_eq!(nodes_of(&program.mark()).len(), 3);
    program
}

/// Whether this process ignores SIGHUP, as under nohup: then so does whatever it starts.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 != 0
}

#[tokio::test]
async fn each_signal_ends_it_with_its_own_code_and_leaves_nothing() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("QUIT", 131), ("HUP", 129)] {
        if name == "HUP" && hangup_is_ignored() {
            continue;
        }
        let program = begun().await;
        program.signal(&format!("-{name}")).await;
        let ended = program.ended_with_its_nodes().await;
        assert_eq!(ended.code, Some(code), "{name}");
        assert!(ended.output.contains(&format!("interrupted by SIG{name}")), "{ended:?}");
    }
}

#[tokio::test]
async fn an_interrupted_demo_gives_programs_their_result() {
    let program = Program::start(demo(&["--transport", "quic", "--json"]));
    until_nodes(&program.mark(), 3).await;
    program.signal("-INT").await;
    let ended = program.ended_with_its_nodes().await;
    let result = ended.json();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!((&result["ok"], &result["error"]), (&false.into(), &"interrupted by SIGINT".into()), "{ended:?}");
    assert!(result["steps"].is_array());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_and_the_nodes_end_all_the_same() {
    let program = begun().await;
    let mark = program.mark();
    // Stopped, so that both are there when it goes on.
    for name in ["-STOP", "-INT", "-QUIT", "-CONT"] {
        program.signal(name).await;
    }
    let ended = program.ended().await;
    assert!(matches!(ended.code, Some(130 | 131)), "{ended:?}");
    until_nodes(&mark, 0).await;
}

#[tokio::test]
async fn under_nohup_a_hangup_does_not_end_it() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" demo --patience 60", PATH]);
    let mut program = Program::start(command);
    program.says(MET).await;
    program.signal("-HUP").await;
    let ended = program.ended_with_its_nodes().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn no_node_outlives_a_demo_that_was_killed() {
    let program = begun().await;
    let mark = program.mark();
    program.signal("-KILL").await;
    assert_eq!(program.ended().await.code, None);
    until_nodes(&mark, 0).await;
}

#[tokio::test]
async fn a_demo_that_was_suspended_for_longer_than_a_step_may_take_goes_on() {
    let mut program = Program::start(demo(&["--transport", "quic", "--patience", "6"]));
    // The next step takes a second at least: the nodes must notice the cut.
    program.says("it starts again").await;
    program.signal("-STOP").await;
    // No wait for anything: this is how long it is suspended.
    tokio::time::sleep(Duration::from_secs(7)).await;
    program.signal("-CONT").await;
    let ended = program.ended_with_its_nodes().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Kills one node, whatever the demo is doing.
async fn kill_n1(nodes: &[Node]) {
    let n1 = nodes.iter().find(|node| node.name == "n1").unwrap();
    signal(n1.id, "-KILL").await;
}

/// A demo that always says yes is worth nothing.
#[tokio::test]
async fn a_node_that_dies_behind_its_back_makes_it_fail_and_the_last_words_are_shown() {
    let program = begun().await;
    kill_n1(&nodes_of(&program.mark())).await;
    let ended = program.ended_with_its_nodes().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.output.contains("FAIL"), "{ended:?}");
    assert!(ended.output.contains("the process of node n1 has ended (signal: 9"), "{ended:?}");
    assert!(ended.errors.contains("the last lines of n2's log"), "{ended:?}");
}

#[tokio::test]
async fn a_demo_that_fails_gives_programs_their_result() {
    let program = Program::start(demo(&["--transport", "quic", "--json"]));
    kill_n1(&until_nodes(&program.mark(), 3).await).await;
    let ended = program.ended_with_its_nodes().await;
    let result = ended.json();
    assert_eq!((ended.code, &result["ok"]), (Some(1), &false.into()), "{ended:?}");
    let (last, before) = result["steps"].as_array().unwrap().split_last().unwrap();
    assert!(before.iter().all(|step| step["ok"] == true), "{ended:?}");
    assert_eq!(last["ok"], false, "{ended:?}");
    assert!(last["error"].as_str().unwrap().contains("the process of node n1 has ended"), "{ended:?}");
}

/// A pager, or a terminal after Ctrl-S.
#[tokio::test]
async fn a_reader_that_has_stopped_reading_does_not_keep_it_from_ctrl_c() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = demo(&["--transport", "quic"]);
    command.stdout(writer.try_clone().unwrap());
    // It fills the pipe, and waits like the demo until the reader is gone.
    let filler = std::thread::spawn(move || while writer.write_all(&[b'.'; 4096]).is_ok() {});
    let program = Program::start_with_output(command);
    until_nodes(&program.mark(), 3).await;
    program.signal("-INT").await;
    assert_eq!(program.ended_with_its_nodes().await.code, Some(130));
    drop(reader);
    filler.join().unwrap();
}
