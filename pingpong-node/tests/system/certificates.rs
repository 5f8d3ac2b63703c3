//! Identities that peers do not accept: of another authority, expired, or expired while the node is linked.

use crate::lab::{Lab, PROGRAM, expired, until};
use crate::node::{LONG, linked, session, within};
use pingpong_node::control::Request;
use std::time::Duration;
use tokio::process::Command;

#[tokio::test]
async fn a_node_of_another_authority_is_refused_with_words_on_both_sides() {
    let (lab, other) = (Lab::new(), Lab::new());
    let one = lab.plan("n1");
    let stranger = other.plan("n2").seeded_by(one.listen).with("min-links", 1);
    let friend = lab.plan("n3").seeded_by(one.listen);
    let (one, stranger) = (one.start().await, stranger.start().await);
    // In TLS 1.3 the one who dials looks first.
    stranger.says("dial refused").await;
    let friend = friend.start().await;
    linked(&[&one, &friend]).await;
    one.says("a handshake failed").await;
    let (told, tells) = (one.said(), stranger.said());
    assert!(told.lines().any(|line| line.contains("a handshake failed") && line.contains("authority")), "{told}");
    assert!(tells.lines().any(|line| line.contains("dial refused") && line.contains("authority")), "{tells}");
    let status = stranger.status().await;
    assert_eq!((status.links, status.ready), (0, false), "{status:?}");
    assert_eq!(one.links().await.len(), 1, "the friend alone");
}

/// S1: whoever has to do something is told what, before anything is started.
#[tokio::test]
async fn a_node_whose_certificate_has_expired_does_not_start() {
    let lab = Lab::new();
    let plan = lab.plan("n1");
    lab.issue("n1", expired());
    let words = "the certificate of n1 expired on ";
    let (code, log) = plan.spawn().ended().await;
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains(words) && log.contains("renew it"), "{log}");
    assert!(!plan.socket.exists(), "nothing is left behind");
    for arguments in [plan.arguments(&["config", "check"]), certs_check(&lab)] {
        let output = within(LONG, "a check", Command::new(PROGRAM).args(&arguments).output()).await.unwrap();
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

fn certs_check(lab: &Lab) -> Vec<String> {
    let dir = lab.path("");
    ["certs", "check", "n1", "--json", "--dir", dir.to_str().unwrap()].map(str::to_owned).into()
}

/// The link has proved itself while the certificate held: it stays, and does not come back until there is a new one.
#[tokio::test]
async fn a_certificate_that_expires_on_a_link_costs_no_link_and_keeps_new_ones_out_until_it_is_renewed() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let (one, two) = (one.start().await, two.start().await);
    let [mut at_one, mut at_two] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let before = session(&one, &two).await;
    lab.issue("n2", until(Duration::from_secs(6)));
    two.signal("HUP").await;
    two.says("the identity was renewed").await;
    assert!(two.status().await.ready);
    let over = async { while two.status().await.ready {} };
    within(LONG, "the certificate expires", over).await;
    two.ping(5).await;
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", 5)]).await;
    assert_eq!(session(&one, &two).await, before, "the link stays");
    two.signal("HUP").await;
    two.says("the node's certificate has expired: no new link comes up").await;

    // The link is reset, and nobody lets it in again.
    let n2 = "n2".parse().unwrap();
    one.ask(&Request::Disconnect { node: n2 }).await;
    for (watch, peer) in [(&mut at_one, "n2"), (&mut at_two, "n1")] {
        assert_eq!(watch.down(peer).await.1, "disconnected by command");
    }
    one.says("expired").await;
    two.says("this node's certificate has expired").await;
    assert_eq!((one.links().await, two.links().await), (vec![], vec![]));

    lab.issue("n2", until(Duration::from_secs(3_600)));
    two.signal("HUP").await;
    at_one.up("n2").await;
    at_two.up("n1").await;
    assert_ne!(session(&one, &two).await, before);
    assert!(two.status().await.ready);
}
