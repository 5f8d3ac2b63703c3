//! Answers, ends of sessions and callers that give up, at the calls in flight.

use super::*;
use crate::mesh::calls::{Calls, Outcome, Target};
use crate::message::MessageType;
use crate::transport::RawReply;
use bytes::Bytes;

fn calls() -> Arc<Calls> {
    Calls::new(8, 1 << 20, Arc::new(CounterCells::default()))
}

fn reply(byte: u8) -> Outcome {
    let kind = MessageType { id: 1, version: 0 };
    Outcome::Reply(RawReply { kind, body: Bytes::copy_from_slice(&[byte]) })
}

fn said(target: &Target) -> Option<u8> {
    match &target.outcome {
        Some(Outcome::Reply(reply)) => Some(reply.body[0]),
        _ => None,
    }
}

#[test]
fn the_last_answer_wakes_the_caller_whichever_it_is() {
    explore(|| {
        let calls = calls();
        let (a, b, c) = (member("a", 1), member("b", 2), member("c", 3));
        let call = calls.open([&a, &b, &c].into_iter());
        let id = call.id;
        let others: Vec<_> = [1, 2]
            .map(|key| {
                let calls = Arc::clone(&calls);
                thread::spawn(move || calls.complete(id, key, reply(key as u8)))
            })
            .into();
        let down = {
            let calls = Arc::clone(&calls);
            thread::spawn(move || calls.session_down(3))
        };
        block_on(call.done());
        let targets = call.close();
        assert_eq!((said(&targets[0]), said(&targets[1])), (Some(1), Some(2)));
        assert!(matches!(targets[2].outcome, Some(Outcome::Down)));
        others.into_iter().chain([down]).for_each(|other| other.join().unwrap());
    });
}

#[test]
fn an_answer_and_the_end_of_its_session_are_one_outcome() {
    explore(|| {
        let calls = calls();
        let a = member("a", 1);
        let call = calls.open([&a].into_iter());
        let id = call.id;
        let (answers, ends) = (Arc::clone(&calls), Arc::clone(&calls));
        let both =
            [thread::spawn(move || answers.complete(id, 1, reply(1))), thread::spawn(move || ends.session_down(1))];
        block_on(call.done());
        let seen = call.close().remove(0).outcome;
        assert!(matches!(seen, Some(Outcome::Reply(_) | Outcome::Down)));
        both.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_late_answer_never_reaches_the_call_that_has_the_place_now() {
    explore(|| {
        let calls = calls();
        let a = member("a", 1);
        let first = calls.open([&a].into_iter());
        let late = {
            let (calls, id) = (Arc::clone(&calls), first.id);
            thread::spawn(move || calls.complete(id, 1, reply(1)))
        };
        first.close();
        let second = calls.open([&a].into_iter());
        let answer = {
            let (calls, id) = (Arc::clone(&calls), second.id);
            thread::spawn(move || calls.complete(id, 1, reply(2)))
        };
        block_on(second.done());
        assert_eq!(said(&second.close()[0]), Some(2));
        late.join().unwrap();
        answer.join().unwrap();
    });
}
