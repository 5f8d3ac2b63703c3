//! A demo whose surroundings are not as it would like them: outputs that fail, limits, directories, a replaced program.

use crate::program::{PATH, Program, demo, until_nodes};
use std::fs::OpenOptions;
use std::path::Path;
use tokio::process::Command;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, PATH]);
    command
}

#[tokio::test]
async fn it_needs_no_directory_to_write_to() {
    let mut command = demo(&[]);
    command.env("TMPDIR", "/nonexistent").current_dir("/");
    let ended = Program::start(command).ended_with_its_nodes().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_reader_that_goes_away_changes_nothing_about_the_verdict() {
    let mut program = Program::start(demo(&[]));
    program.says("nodes find each other").await;
    program.stop_reading();
    let ended = program.ended_with_its_nodes().await;
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));

    let head = shell("{ \"$0\" demo --patience 60; echo $? >&2; } | head -n 1");
    let ended = Program::start(head).ended_with_its_nodes().await;
    assert_eq!((ended.output.lines().count(), ended.errors.as_str()), (1, "0\n"), "{ended:?}");
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_not_passed_over() {
    for arguments in [&["--json"][..], &[]] {
        let mut command = demo(arguments);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let ended = Program::start_with_output(command).ended_with_its_nodes().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.errors.contains("the result cannot be written"), "{ended:?}");
    }
}

#[tokio::test]
async fn too_few_open_files_are_named_with_the_remedy_and_programs_get_a_result() {
    let few = shell("ulimit -n 40; exec \"$0\" demo --transport quic --nodes 16 --json");
    let ended = Program::start(few).ended_with_its_nodes().await;
    let result = ended.json();
    assert_eq!((ended.code, &result["ok"], &result["steps"]), (Some(1), &false.into(), &serde_json::json!([])));
    assert!(result["error"].as_str().unwrap().contains("ulimit -n 512"), "{ended:?}");
}

/// An upgrade, or a build, replaces the file of the program while it plays.
#[tokio::test]
async fn a_program_that_is_replaced_while_it_runs_starts_its_nodes_from_what_it_was() {
    // On the same file system, so that it can be a link: a copy may be busy for a moment.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path().join("program");
    let link = |path: &Path| std::fs::hard_link(PATH, path).or_else(|_| std::fs::copy(PATH, path).map(drop));
    link(&path).unwrap();
    let mut command = Command::new(&path);
    command.args(["demo", "--transport", "quic", "--patience", "60"]);
    let program = Program::start(command);
    until_nodes(&program.mark(), 3).await;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "something else").unwrap();
    let ended = program.ended_with_its_nodes().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
