//! `pingpong-node demo` as a user runs it: its result, its exit code, and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

fn demo(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pingpong-node"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// Plays to the end, and checks the result and that nothing is left.
fn is_right(transport: &str, nodes: usize) {
    let temporary = tempfile::tempdir().unwrap();
    let arguments = ["--json", "--transport", transport, "--nodes", &nodes.to_string()];
    let output = demo(temporary.path(), &arguments).output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect(&said);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(output.stderr.is_empty(), "nobody watches: {said}");
    assert_eq!(result["ok"], true, "{said}");
    assert_eq!(result["transport"], transport, "{said}");
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7, "{said}");
    for step in steps {
        assert_eq!(step["ok"], true, "{said}");
        assert_eq!(step["expected"], step["seen"], "{said}");
        for look in step["seen"].as_object().unwrap().values() {
            assert!(look["links"].is_array() && look["counts"].is_object(), "{said}");
        }
    }
    assert_eq!(steps[0]["seen"]["n1"]["links"].as_array().unwrap().len(), nodes - 1, "{said}");
    assert_eq!(steps[1]["seen"]["n2"]["counts"]["n1"], 10, "{said}");
    assert_eq!(steps[3]["seen"].as_object().unwrap().len(), nodes - 1, "one is killed: {said}");
    let own = |step: usize, consumer: &str| steps[step]["seen"][consumer]["counts"]["n2"].clone();
    assert_eq!(own(2, "n2"), 20, "it has its own pings back: {said}");
    assert_ne!(own(5, "n1"), own(5, "n2"), "there is a partition: {said}");
    assert!(is_empty(temporary.path()), "all is cleaned up");
}

#[cfg(feature = "mem")]
#[test]
fn every_count_is_right_in_memory() {
    is_right("mem", 3);
    is_right("mem", 2);
}

#[cfg(feature = "quic")]
#[test]
fn every_count_is_right_over_quic() {
    is_right("quic", 3);
    is_right("quic", 2);
}

#[test]
fn without_a_terminal_it_says_in_plain_text_how_each_step_went() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path(), &[]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{text}");
    assert!(text.contains("20/20"), "{text}");
}

#[test]
fn what_is_not_possible_is_refused_with_the_reason() {
    let temporary = tempfile::tempdir().unwrap();
    for (arguments, reason) in [(["--nodes", "1"], "2..=16"), (["--transport", "pigeon"], "possible values")] {
        let output = demo(temporary.path(), &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(reason));
    }
}

#[cfg(all(feature = "quic", target_os = "linux"))]
mod processes {
    use super::{demo, is_empty};
    use std::io::{BufRead, BufReader};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    /// The nodes whose demo was given this directory.
    fn nodes_of(dir: &Path) -> Vec<PathBuf> {
        let dir = dir.to_str().unwrap();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let ours = |path: &PathBuf| {
            let has = |file: &str, text: &str| {
                String::from_utf8_lossy(&std::fs::read(path.join(file)).unwrap_or_default()).contains(text)
            };
            has("cmdline", "demo-node") && has("environ", dir)
        };
        processes.filter(ours).collect()
    }

    /// Starts a demo, and waits until its nodes have found each other.
    fn begun(dir: &Path) -> Child {
        let mut child = demo(dir, &["--transport", "quic"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = lines.find(|line| line.as_ref().unwrap().contains("find each other"));
        assert!(found.is_some());
        // It has nobody to write to any more, which does not end it.
        drop(lines);
        assert!(!nodes_of(dir).is_empty());
        child
    }

    fn signal(child: &Child, signal: &str) {
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    #[test]
    fn ctrl_c_ends_it_and_leaves_nothing() {
        for (name, code) in [("-INT", 130), ("-TERM", 143), ("-QUIT", 131), ("-HUP", 129)] {
            let temporary = tempfile::tempdir().unwrap();
            let mut child = begun(temporary.path());
            signal(&child, name);
            assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
            assert_eq!(nodes_of(temporary.path()), [] as [PathBuf; 0], "{name}: its nodes have ended");
            assert!(is_empty(temporary.path()), "{name}: its directory is gone");
        }
    }

    /// A demo that always says yes is worth nothing.
    #[test]
    fn a_node_that_dies_behind_its_back_makes_it_fail_and_its_log_is_shown() {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = demo(temporary.path(), &["--transport", "quic"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(output.any(|line| line.contains("find each other")));
        let nodes = nodes_of(temporary.path());
        let first =
            nodes.iter().find(|path| std::fs::read(path.join("cmdline")).unwrap().windows(4).any(|w| w == b"\0n1\0"));
        let id = first.unwrap().file_name().unwrap();
        assert!(Command::new("kill").arg("-KILL").arg(id).status().unwrap().success());
        let text = output.collect::<Vec<_>>().join("\n");
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{text}");
        assert!(text.contains("FAIL") && text.contains("the process of node n1 has ended"), "{text}");
        assert!(String::from_utf8(ended.stderr).unwrap().contains("the last lines of n2's log"), "{text}");
        assert_eq!(nodes_of(temporary.path()), [] as [PathBuf; 0]);
        assert!(is_empty(temporary.path()));
    }

    #[test]
    fn no_node_outlives_a_demo_that_was_killed() {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = begun(temporary.path());
        signal(&child, "-KILL");
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !nodes_of(temporary.path()).is_empty() {
            assert!(Instant::now() < deadline, "its nodes notice that it is gone");
            std::thread::yield_now();
        }
    }
}
