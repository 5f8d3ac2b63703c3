//! Configurations: an example that works, and refusals with a code that no service manager tries again on.

use crate::cluster::{Cluster, run};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_example_becomes_a_configuration_by_its_paths_alone() {
    let cluster = Cluster::new(&["n1"]).await;
    let example = cluster.run(&["config", "example"]).await.ok().output();
    let ours = example.replace("/etc/pingpong/", "");
    std::fs::write(cluster.path().join("node.toml"), ours.replace("cluster = \"prod\"", "cluster = \"test\"")).unwrap();
    let checked = cluster.run(&["config", "check", "--config", "node.toml", "--json"]).await.ok().json();
    assert_eq!((&checked["ok"], &checked["name"]), (&true.into(), &"n1".into()));
    let sum: u64 = checked["worst_case"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum();
    assert_eq!(checked["worst_case_bytes"], sum);
    let unproved: u64 = 136 * (128 << 10) + 440 * (48 << 10);
    assert_eq!(checked["worst_case"]["dials that prove nothing yet"], unproved, "as the security model says");
    cluster.run(&["config", "check", "-c", "node.toml"]).await.ok();
}

#[tokio::test]
async fn what_a_person_must_mend_ends_with_the_code_for_that() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    cluster.configure("n1", "", "");
    let fails = async |arguments: &[&str], words: &str| {
        for command in [&["run"][..], &["config", "check"]] {
            cluster.run(&[command, &["-c", "n1.toml"], arguments].concat()).await.fails(78, words);
        }
    };
    fails(&["--name", "n2"], "the certificate in n1.pem is that of n1, and the configuration names n2").await;
    fails(&["--limits-max-peers", "0"], "limits.max_peers is 0, allowed are 1 to 10000").await;
    fails(&["--limits-max-memory", "1 GiB"], "limits.max_memory is 1024 MiB; lower limits.max_peers, limits.lanes,")
        .await;
    fails(&["--timeouts-failure", "soon"], "timeouts.failure, given by --timeouts-failure, is not right").await;
    fails(&["--quic-max-udp-payload", "9000"], "quic.max_udp_payload is 9000, allowed are 1200 to 6500").await;
    fails(&["--identity-key", "n2.key"], "the key does not go with the certificate").await;
    fails(&["--quic-lane-window", "1 KiB"], "quic.lane_window is 1 KiB, allowed are 4 KiB to 1 GiB").await;
    fails(&["--quic-lane-window", "5 GiB"], "quic.lane_window is 5 GiB, beyond its range").await;
    fails(&["--quic-socket-buffer", "8 EiB"], "quic.socket_buffer is 8589934592 GiB, allowed are 4 KiB to 1 GiB").await;
    fails(&["--limits-large-bytes", "64 MiB"], "twice limits.max_message is 128 MiB, above limits.large_bytes").await;
    fails(&["--timeouts-stall", "1s"], "timeouts.failure is 2s, above timeouts.stall, which is 1s").await;
    fails(&["--log-level", "loud=very"], "log.level is \"loud=very\"").await;
    fails(&["--log-level", "info,loud"], "log.level is \"info,loud\": \"loud\" is no level; use a level").await;
    fails(&["--seeds", "bogus"], "seeds has \"bogus\": it must be host:port").await;
    fails(&["--advertise", "n1.example:0"], "advertise has \"n1.example:0\": its port must not be 0").await;
    let seeds = "[::1]:4400,n2.example:4400";
    cluster
        .run(&["config", "check", "-c", "n1.toml", "--seeds", seeds, "--identity-revocations", "crl.pem"])
        .await
        .ok();
    std::fs::set_permissions(cluster.path().join("n1.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    fails(&[], "n1.key can be read by others (its mode is 644); take the right away, with `chmod 600`").await;
    cluster.run(&["run", "--config", "none.toml"]).await.fails(78, "none.toml cannot be read");
}

#[tokio::test]
async fn a_port_and_a_data_directory_have_one_user() {
    let cluster = Cluster::new(&["n1", "n2"]).await;
    cluster.configure("n1", "data = \"data\"", "");
    let running = cluster.start("n1").await;
    let port = cluster.address("n1").await;
    cluster.configure("n2", "", "");
    let taken = cluster.run(&["run", "-c", "n2.toml", "--listen", &port]).await;
    taken.fails(78, "is in use (UDP); stop the process that listens there, or listen at another port");
    let shared = cluster.run(&["run", "-c", "n2.toml", "--data", "data"]).await;
    shared.fails(78, "data is in use by another process");
    // To check it takes nothing.
    cluster.run(&["config", "check", "-c", "n1.toml"]).await.ok();
    drop(running);
}

#[tokio::test]
async fn help_and_completions_teach() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["--help"]).await.ok().output();
    for words in ["demo", "certs", "run", "Exit codes:", "RestartPreventExitStatus=78"] {
        assert!(help.contains(words), "{words} is missing: {help}");
    }
    let help = run(dir.path(), &["run", "--help"]).await.ok().output();
    for words in ["--limits-max-peers", "PINGPONG_LIMITS_MAX_PEERS", "1 to 10000", "--seeds"] {
        assert!(help.contains(words), "{words} is missing: {help}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(dir.path(), &["completions", shell]).await.ok().output();
        assert!(script.contains("disconnect") && script.contains("certs"), "{shell}");
    }
}
