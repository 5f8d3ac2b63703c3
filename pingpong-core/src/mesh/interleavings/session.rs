//! Flags that the tasks of a session raise for the driver, and how the driver learns of them.

use super::*;
use crate::mesh::session::Trouble;
use crate::session::LaneOffset;

/// Waits as the driver does: asks, and sleeps until somebody calls for its attention.
fn attend<T>(session: &Session, mut ask: impl FnMut(&Session) -> Option<T>) -> T {
    let remote = session.as_remote().unwrap();
    block_on(async {
        loop {
            if let Some(found) = ask(session) {
                return found;
            }
            remote.attention.notified().await;
        }
    })
}

#[test]
fn a_goodbye_is_complete_when_the_last_lane_is_whichever_it_is() {
    explore(|| {
        let session = remote(member("a", 1), &common());
        let lanes: Vec<_> = [0, 1]
            .map(|lane| {
                let session = Arc::clone(&session);
                thread::spawn(move || {
                    let remote = session.as_remote().unwrap();
                    assert!(remote.begin_lane(lane));
                    remote.handed_over(lane, 5);
                    remote.handed_over(lane, 5);
                })
            })
            .into();
        let goodbye = {
            let session = Arc::clone(&session);
            let goal = [0, 1].map(|lane| LaneOffset { lane, offset: 10 });
            thread::spawn(move || session.as_remote().unwrap().await_handover(goal.into()))
        };
        attend(&session, |session| session.as_remote().unwrap().take_handed_over().then_some(()));
        assert!(!session.as_remote().unwrap().take_handed_over(), "once");
        lanes.into_iter().chain([goodbye]).for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_node_that_leaves_learns_of_its_last_writer() {
    explore(|| {
        let session = remote(member("a", 1), &common());
        (0..3).for_each(|_| session.as_remote().unwrap().writer_started());
        let writers: Vec<_> = (0..3)
            .map(|lane| {
                let session = Arc::clone(&session);
                let ended = (lane > 0).then_some(LaneOffset { lane, offset: 1 });
                thread::spawn(move || session.as_remote().unwrap().writer_ended(ended))
            })
            .collect();
        let ended = attend(&session, |session| session.as_remote().unwrap().drained());
        assert_eq!(ended.len(), 2);
        writers.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_session_in_trouble_is_seen_once_with_one_of_its_reasons() {
    explore(|| {
        let session = remote(member("a", 1), &common());
        let troubles = [Trouble::Overloaded, Trouble::Broken("a".to_owned())].map(|trouble| {
            let session = Arc::clone(&session);
            thread::spawn(move || session.as_remote().unwrap().cut(trouble))
        });
        let _ = attend(&session, |session| session.as_remote().unwrap().take_trouble());
        troubles.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
