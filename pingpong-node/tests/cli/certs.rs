//! Certificates: made with the right modes, never overwritten, shown, and checked.

use crate::cluster::{Cluster, run};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn keys_are_private_and_nothing_is_overwritten() {
    let cluster = Cluster::new(&["n1", "n2.example"]).await;
    let mode = |file: &str| std::fs::metadata(cluster.path().join(file)).unwrap().permissions().mode() & 0o777;
    for key in ["ca.key", "n1.key", "n2.example.key"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
    let before = std::fs::read(cluster.path().join("ca.key")).unwrap();
    cluster.run(&["certs", "init", "--cluster", "other"]).await.fails(1, "ca.key is there already");
    let missing_one = cluster.run(&["certs", "issue", "n3", "n1"]).await;
    missing_one.fails(1, "n1.key is there already");
    assert_eq!(std::fs::read(cluster.path().join("ca.key")).unwrap(), before);
    std::fs::remove_file(cluster.path().join("n1.key")).unwrap();
    cluster.run(&["certs", "issue", "n1"]).await.fails(1, "n1.pem is there already");
    assert!(!cluster.path().join("n1.key").exists(), "the key of a certificate that was not issued is taken back");
}

#[tokio::test]
async fn names_and_dates_are_shown() {
    let cluster = Cluster::new(&["n1"]).await;
    let shown = cluster.run(&["certs", "show", "n1.pem", "ca.pem", "--json"]).await.ok().json();
    let (node, authority) = (&shown[0]["certificates"][0], &shown[1]["certificates"][0]);
    assert_eq!((&node["names"][0], &node["authority"]), (&"n1".into(), &false.into()));
    let subject = authority["subject"].as_str().unwrap();
    assert!(authority["authority"] == true && subject.starts_with("CN=PingPong cluster test "), "{subject}");
    assert!(node["expires"].as_i64().unwrap() > node["begins"].as_i64().unwrap());
    let text = cluster.run(&["certs", "show", "n1.pem"]).await.ok().output();
    assert!(text.contains("n1") && text.contains("UTC") && !text.contains('\x1b'), "{text}");
    cluster.run(&["certs", "show", "n1.key"]).await.fails(1, "there is no certificate in it");
}

#[tokio::test]
async fn what_is_wrong_with_an_identity_is_said() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    let checked = cluster.run(&["certs", "check", "n1", "n2", "--json"]).await.ok().json();
    assert!(checked.as_array().unwrap().iter().all(|node| node["ok"] == true), "{checked}");
    let key = cluster.path().join("n1.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::copy(cluster.path().join("n3.key"), cluster.path().join("n2.key")).unwrap();
    let checked = cluster.run(&["certs", "check", "n1", "n2", "n3", "nx", "--json"]).await;
    assert_eq!(checked.code(), Some(1));
    let error = |at: usize| checked.json()[at]["error"].as_str().unwrap_or("none").to_owned();
    assert!(error(0).contains("can be read by others (its mode is 644)"), "{}", error(0));
    assert!(error(1).contains("the key does not go with the certificate"), "{}", error(1));
    assert_eq!(error(2), "none");
    assert!(
        error(3).contains("nx.pem cannot be read") && error(3).contains("certs issue nx` makes it"),
        "{}",
        error(3)
    );
    std::fs::remove_file(&key).unwrap();
    let lost = cluster.run(&["certs", "check", "n1", "--json"]).await.json();
    assert!(lost[0]["error"].as_str().unwrap().contains("n1.pem away and make both anew"), "{lost}");
    std::fs::remove_file(cluster.path().join("n3.pem")).unwrap();
    let lost = cluster.run(&["certs", "check", "n3", "--json"]).await.json();
    assert!(lost[0]["error"].as_str().unwrap().contains("n3.key away and make both anew"), "{lost}");
}

#[tokio::test]
async fn without_an_authority_the_remedy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run(dir.path(), &["certs", "issue", "n1"]).await;
    ended.fails(1, "`pingpong-node certs init` makes an authority, --dir says where it is");
    // On a node's own machine there is the authority's certificate alone.
    run(dir.path(), &["certs", "init", "--cluster", "demo"]).await.ok();
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    run(dir.path(), &["certs", "issue", "n1"]).await.fails(1, "do this where the authority was made");
    run(dir.path(), &["certs", "issue", "N1"]).await.fails(2, "lower-case letters");
}

#[tokio::test]
async fn a_revoked_node_is_put_out_while_all_run() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    // A list of nobody's that is in use, to begin with.
    cluster.run(&["certs", "revoke", "n3"]).await.ok();
    cluster.configure_with("n1", "", "", "revocations = \"crl.pem\"");
    let mut one = cluster.start("n1").await;
    let seed = cluster.address("n1").await;
    cluster.configure("n2", &format!("seeds = [\"{seed}\"]\nmin_links = 1"), "");
    let mut two = cluster.start("n2").await;
    let revoked = cluster.run(&["certs", "revoke", "n2", "--json"]).await.ok().json();
    assert_eq!(revoked["revoked"].as_array().unwrap().len(), 2, "the earlier one stays on the list: {revoked}");
    assert!(!cluster.path().join("n2.pem").exists());
    one.signal("-HUP").await;
    one.says("a peer is put out").await;
    two.says("the peer refused this node").await;
    cluster.run(&["certs", "issue", "n2"]).await.ok();
    cluster
        .run(&["certs", "revoke", "nx"])
        .await
        .fails(1, "put it there, --dir says where it is; nx itself has a copy");
}
