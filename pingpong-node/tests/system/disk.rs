//! Disks that are full: of the log, and of the data directory.

use crate::lab::{Lab, command};
use crate::lan::{skip, without_root};
use crate::node::{LONG, Node, linked, session, within};
use pingpong_node::control::{AckLevel, Client, Request};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Waits until it can be asked: it has no log that would say so.
async fn answers(node: &Node) {
    let asked = async {
        while node.try_ask(&Request::Status {}).await.is_none() {
            // Nothing tells of it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(LONG, "an answer", asked).await;
}

#[tokio::test]
async fn a_node_whose_log_cannot_be_written_works_and_ends_as_any_other() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen).with("log-level", "debug");
    let one = one.start().await;
    let mut mute = command(&[], &plan.arguments(&["run"]));
    mute.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let two = Node::spawn("n2", mute, &plan.socket);
    answers(&two).await;
    let [mut seen, _] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    two.ping(3).await;
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", 3)]).await;
    two.signal("TERM").await;
    assert_eq!(two.ended().await.0, Some(0));
    assert_eq!(seen.down("n2").await.1, "left, everything was handed over");
}

/// A small disk of its own, which is taken away when it is dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// The error is the reason why there is none: even root may not be allowed to mount, as in most containers.
    pub(crate) async fn mount(at: PathBuf, mebibytes: u32) -> Result<Self, String> {
        if let Some(reason) = without_root() {
            return Err(reason);
        }
        fs::create_dir(&at).unwrap();
        let size = format!("size={mebibytes}m");
        let mount = ["-t", "tmpfs", "-o", &size, "none", at.to_str().unwrap()];
        let mounted =
            tokio::process::Command::new("mount").args(mount).output().await.map_err(|error| error.to_string())?;
        match mounted.status.success() {
            true => Ok(Self(at)),
            false => Err(String::from_utf8_lossy(&mounted.stderr).into_owned()),
        }
    }

    /// Until not a byte more fits.
    pub(crate) fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = File::create(&ballast).unwrap();
        // The large ones for speed, the small ones for the rest.
        for block in [65_536, 512] {
            let full = loop {
                if let Err(error) = file.write_all(&vec![b'.'; block]) {
                    break error.kind();
                }
            };
            assert_eq!(full, ErrorKind::StorageFull);
        }
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever has a file there open keeps it until then.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn log_at(path: &Path) -> Stdio {
    OpenOptions::new().create(true).append(true).open(path).unwrap().into()
}

/// The node goes on; one that starts says what is in its way, and changes nothing.
#[tokio::test]
async fn a_disk_that_is_full_stops_no_node_and_lets_none_start_without_its_incarnation() {
    let lab = Lab::new();
    let disk = match Disk::mount(lab.path("disk"), 1).await {
        Ok(disk) => disk,
        Err(reason) => {
            return skip("a_disk_that_is_full_stops_no_node_and_lets_none_start_without_its_incarnation", &reason);
        }
    };
    let one = lab.plan("n1");
    let plan = lab.plan("n2").seeded_by(one.listen).with("data", lab.path("disk/data").display());
    let one = one.start().await;
    let mut logged = command(&[], &plan.arguments(&["run"]));
    logged.stderr(log_at(&lab.path("disk/log")));
    let two = Node::spawn("n2", logged, &plan.socket);
    answers(&two).await;
    let [mut at_one, mut at_two] = linked(&[&one, &two]).await.try_into().ok().unwrap();
    let before = session(&one, &two).await;
    let ballast = disk.fill();
    one.ask(&Request::Disconnect { node: "n2".parse().unwrap() }).await;
    for (watch, peer) in [(&mut at_one, "n2"), (&mut at_two, "n1")] {
        watch.down(peer).await;
        watch.up(peer).await;
    }
    assert_ne!(session(&one, &two).await, before);
    // The log of the counts has had its room from the beginning. When it is full, the tables need more.
    let ping = Request::Ping { count: 3, rate: None, ack: AckLevel::Local, deadline_ms: None };
    let mut counted = 0;
    let refused = loop {
        match Client::ask(&plan.socket, &ping).await.unwrap().only().await {
            Ok(_) => counted += 3,
            Err(refused) => break refused,
        }
        assert!(counted < 3_000, "the log has no end");
    };
    assert!(
        refused.to_string().contains("nothing was counted") && refused.to_string().contains("make room"),
        "{refused}"
    );
    assert!(counted > 0, "the log has room");
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", counted)]).await;
    let last = two.status().await.incarnation;
    two.killed().await;
    at_one.down("n2").await;

    let kept = || fs::read_to_string(lab.path("disk/data/incarnation.toml")).unwrap();
    assert!(kept().contains(&last), "{}", kept());
    let (code, log) = plan.spawn().ended().await;
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("incarnation.new cannot be written") && log.contains("No space left on device"), "{log}");
    assert!(kept().contains(&last), "it is as it was: {}", kept());
    assert!(!plan.socket.exists(), "nothing is half started");
    fs::remove_file(ballast).unwrap();
    let two = plan.start().await;
    assert!(at_one.up("n2").await.incarnation > last);
    assert!(kept().contains(&two.status().await.incarnation), "{}", kept());
    // It has all that it counted on the full disk, and goes on from there.
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", counted)]).await;
    two.ping(3).await;
    one.all_count(&["n1", "n2"], &[("n1", 0), ("n2", counted + 3)]).await;
}
