//! What each benchmark says, on each transport.

use crate::bench;
use crate::program::{Ended, Program};
use serde_json::Value;

/// The transports of this build.
const TRANSPORTS: &[&str] = &[
    #[cfg(feature = "mem")]
    "mem",
    #[cfg(feature = "quic")]
    "quic",
];

/// Runs a benchmark for programs, and checks what is the same of all. Returns its objects.
async fn objects(arguments: &str, transport: &str, nodes: usize) -> Vec<Value> {
    let ended =
        Program::start(bench(&format!("{arguments} --transport {transport} --json --patience 120"))).ended().await;
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "nobody watches: {ended:?}");
    let objects: Vec<Value> = ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for object in &objects {
        assert_eq!(object["what"], arguments.split(' ').next().unwrap(), "{object}");
        assert_eq!((&object["transport"], &object["nodes"]), (&transport.into(), &nodes.into()), "{object}");
        assert_eq!((&object["ok"], object.get("error")), (&true.into(), None), "{object}");
        for zero in ["lost", "out_of_order", "duplicates", "false_downs"] {
            assert_eq!(object[zero], 0, "{object}");
        }
        assert!(number(object, "elapsed_s") > 0.0, "{object}");
        assert!(object["cpu_s"].is_f64() && object["rss_bytes"].is_u64() && object["run"].is_u64(), "{object}");
        if cfg!(target_os = "linux") {
            assert!(number(object, "rss_bytes") > 0.0, "{object}");
        }
    }
    objects
}

fn number(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name}: {object}"))
}

#[tokio::test]
async fn pings_of_one_producer_and_of_all_are_counted() {
    for transport in TRANSPORTS {
        let said = objects("abcast --count 2000 --runs 2", transport, 3).await;
        assert_eq!(said.len(), 2);
        assert_eq!([&said[0]["run"], &said[1]["run"]], [1, 2]);
        for object in &said {
            assert!(number(object, "pings_per_s") > 0.0, "{object}");
            assert_eq!([&object["pings"], &object["count"], &object["payload"]], [2_000, 2_000, 16], "{object}");
        }
        let said = objects("abcast --nodes 2 --count 500 --payload 70000 --producers all", transport, 2).await;
        assert_eq!([&said[0]["pings"], &said[0]["payload"]], [1_000, 70_000], "{said:?}");
        assert!(number(&said[0], "mb_per_s") > 0.0, "{said:?}");
    }
}

#[tokio::test]
async fn how_many_pings_take_two_seconds_is_tried_out_if_nobody_says_it() {
    let said = objects("abcast --nodes 2 --payload 2000000", TRANSPORTS[0], 2).await;
    assert_eq!(said.len(), 1);
    assert!(number(&said[0], "count") >= 1.0, "{said:?}");
}

#[tokio::test]
async fn calls_are_timed_alone_and_beside_casts() {
    for transport in TRANSPORTS {
        let said = objects("calls --duration 100ms", transport, 3).await;
        assert_eq!(said.iter().map(|object| &object["callers"]).collect::<Vec<_>>(), [1, 64]);
        for object in &said {
            assert_eq!([&object["failures"], object.get("casts_per_s").unwrap_or(&0.into())], [0, 0], "{object}");
            let quantiles = ["p50_us", "p99_us", "p999_us", "max_us"].map(|name| number(object, name));
            assert!(quantiles.is_sorted() && quantiles[0] > 0.0 && number(object, "calls_per_s") > 0.0, "{object}");
        }
        for beside in ["same", "other"] {
            let said = objects(&format!("calls --duration 100ms --callers 2 --beside {beside}"), transport, 3).await;
            assert_eq!((&said[0]["beside"], &said[0]["failures"]), (&beside.into(), &0.into()), "{said:?}");
            assert!(number(&said[0], "casts_per_s") > 0.0 && said[0]["backlog_bytes"].is_u64(), "{said:?}");
        }
    }
}

#[tokio::test]
async fn every_fault_is_seen_and_over_again() {
    for transport in TRANSPORTS {
        let said = objects("failover --rest 0s --cut 10ms", transport, 3).await;
        let faults: Vec<&Value> = said.iter().map(|object| &object["fault"]).collect();
        assert_eq!(faults, ["kill", "restart", "stop", "cut"]);
        for object in &said {
            assert!(number(object, "down_ms") <= number(object, "down_max_ms"), "{object}");
            assert!(number(object, "up_ms") > 0.0, "{object}");
        }
    }
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn a_delay_is_that_of_each_packet() {
    let said = objects("calls --callers 1 --duration 100ms --delay 5ms", "quic", 3).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["delay_us"], 5_000, "{said:?}");
    assert!(number(&said[0], "p50_us") >= 10_000.0, "there and back: {said:?}");
}

#[tokio::test]
async fn what_cannot_be_delayed_is_refused() {
    let cases = [
        #[cfg(feature = "mem")]
        "abcast --transport mem --delay 1ms",
        #[cfg(feature = "quic")]
        "calls --transport quic --nodes 17 --delay 1ms",
    ];
    for arguments in cases {
        let ended = Program::start(bench(arguments)).ended().await;
        assert_eq!((ended.code, ended.output.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.errors.contains("--delay"), "{ended:?}");
    }
}

#[tokio::test]
async fn nodes_that_start_at_once_are_timed_until_all_are_linked() {
    for transport in TRANSPORTS {
        for seeds in ["one", "all"] {
            let said = objects(&format!("mesh --nodes 5 --idle 50ms --seeds {seeds}"), transport, 5).await;
            assert_eq!((said.len(), &said[0]["seeds"]), (1, &seeds.into()));
            assert!(number(&said[0], "full_mesh_s") > 0.0 && said[0]["idle_cpu_percent"].is_f64(), "{said:?}");
            assert!(said[0]["idle_rss_bytes"].is_u64(), "{said:?}");
            let counts_packets = *transport == "quic" && cfg!(target_os = "linux");
            assert_eq!(said[0]["idle_packets_per_s"].is_f64(), counts_packets, "{said:?}");
        }
    }
}

/// Runs a benchmark of the exercise, with its files in a directory of which nothing is left then.
#[cfg(feature = "daemon")]
async fn with_stores(arguments: &str, transport: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let said = objects(&format!("{arguments} --dir {}", dir.path().display()), transport, 3).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{arguments}");
    said
}

#[cfg(feature = "daemon")]
#[tokio::test]
async fn acknowledged_pings_are_timed_at_each_level_and_all_members_have_them() {
    for transport in TRANSPORTS {
        let said = with_stores("acks --duration 100ms --clients 1,8 --store file,memory", transport).await;
        let cases = ["file", "memory"].into_iter().flat_map(|store| {
            let levels = ["queued", "local", "majority"].into_iter();
            levels.flat_map(move |level| [1, 8].map(|clients| (store, level, clients)))
        });
        assert_eq!(said.len(), 12);
        for (object, (store, level, clients)) in said.iter().zip(cases) {
            let case = [&object["store"], &object["level"], &object["clients"]];
            assert_eq!(case, [&Value::from(store), &level.into(), &clients.into()], "{object}");
            assert!(number(object, "pings_per_s") > 0.0 && number(object, "call_p50_us") > 0.0, "{object}");
            assert_eq!(object.get("syncs_per_s").is_some(), store == "file", "{object}");
            let least = store == "file" && level != "queued" || level == "majority";
            assert_eq!(object.get("p50_to_least").is_some(), clients == 1 && least, "{object}");
        }
        let said = with_stores("acks --duration 100ms --clients 8 --level majority --producers all", transport).await;
        assert!(number(&said[0], "pings") > 0.0 && said[0]["producers"] == "all", "{said:?}");
    }
}

#[cfg(feature = "daemon")]
#[tokio::test]
async fn reads_are_timed_beside_calls_and_beside_pings() {
    for transport in TRANSPORTS {
        for beside in ["none", "pings"] {
            let said = with_stores(&format!("reads --duration 100ms --readers 1,8 --beside {beside}"), transport).await;
            assert_eq!(said.len(), 4);
            for object in &said {
                for figure in ["reads_per_s", "p50_us", "p50_to_calls", "reads_to_calls"] {
                    assert!(number(object, figure) > 0.0, "{figure}: {object}");
                }
                assert_eq!(object.get("unstable").is_some(), beside == "pings", "{object}");
            }
        }
    }
}

#[cfg(feature = "daemon")]
#[tokio::test]
async fn nodes_start_on_their_files_and_members_that_lost_theirs_vote_again() {
    for transport in TRANSPORTS {
        let said = with_stores("recovery --slots 1000", transport).await;
        assert_eq!(said.len(), 6);
        for object in &said {
            let time = if object["event"] == "start" { "ready_ms" } else { "vote_ms" };
            assert!(number(object, time) > 0.0 && number(object, "file_bytes") > 0.0, "{object}");
            assert_eq!(object["slots"], if object["shape"] == "empty" { 0 } else { 1_000 }, "{object}");
        }
    }
}

#[cfg(feature = "quic")]
#[tokio::test]
async fn links_run_on_a_thread_of_their_own_or_not() {
    for (io_thread, said) in [("on", true), ("off", false)] {
        let objects = objects(&format!("abcast --count 1000 --io-thread {io_thread}"), "quic", 3).await;
        assert_eq!(objects[0]["io_thread"], said);
    }
}

async fn ended(arguments: &str) -> Ended {
    Program::start(bench(arguments)).ended().await
}

#[tokio::test]
async fn people_get_a_line_for_each_run_and_the_medians_in_plain_text() {
    let ended = ended("abcast --count 1000 --runs 3").await;
    let text = &ended.output;
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.is_ascii() && !text.contains(['\x1b', '\r']), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok   run ")).count(), 3, "{text}");
    for words in ["count 1000: 3 of 3 runs ok", "median", "pings_per_s", "elapsed_s", "cpu_s", "rss_bytes"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn what_is_not_possible_is_refused_with_the_reason() {
    let wrong = [
        ("abcast --nodes 1", "2..=1000"),
        ("abcast --payload 15", "16..="),
        ("abcast --count 0", "1.."),
        ("calls --callers 0", "1..=4096"),
        ("calls --duration soon", "2s"),
        ("failover --nodes 17", "2..=16"),
        ("failover --cut 2days", "more than a day"),
        ("mesh --runs 0", "1..=1000"),
        #[cfg(feature = "daemon")]
        ("acks --nodes 32", "2..=31"),
        #[cfg(feature = "daemon")]
        ("reads --readers 0", "1..=4096"),
        #[cfg(feature = "daemon")]
        ("recovery --slots 999", "1000..=250000"),
    ];
    for (arguments, reason) in wrong {
        let ended = ended(arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments}");
        assert!(ended.errors.contains(reason), "{arguments}: {ended:?}");
    }
}

#[tokio::test]
async fn the_help_says_what_figures_are_and_which_can_be_compared() {
    for arguments in ["--help", "abcast --help", "calls --help", "failover --help", "mesh --help"] {
        let mut command = tokio::process::Command::new(crate::PATH);
        command.arg("bench").args(arguments.split(' '));
        let ended = Program::start(command).ended().await;
        for words in ["pings_per_s", "p50_us", "down_ms", "full_mesh_s", "Comparable are", "Exit codes:", "128+n"] {
            assert!(ended.output.contains(words), "{words}: {}", ended.output);
        }
    }
}
