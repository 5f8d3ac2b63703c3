//! The model of the counting protocol: what becomes of counts, whatever the network and the stores do.
//!
//! Each test explores one cluster to its end, or switches one rule off and must find what goes wrong without it. What it found,
//! with the number of distinct states and the time, is printed, and kept in `reports/counts-model.txt` of cargo's directory
//! for tests. `MODEL=full` gives some of the clusters a ping, a read or a fault more, which takes minutes.
//!
//! # Votes and reads
//!
//! A cluster has N members, of which Q = N / 2 + 1 are a quorum, two producers, and up to three readers. Its network keeps less
//! than the contract of transports promises:
//!
//! | what happens | in the model |
//! | --- | --- |
//! | a message is late, reordered, duplicated | a count that was cast once arrives at any member at any later time (`Hold`) |
//! | it is lost, a link is cut | it never arrives: no step has to be taken |
//! | a write-back, catch-up or news arrives | it brings a member nothing that a `Hold` does not |
//! | a vote is late, or its member is dead | it counts from when it could be given on, also when its member has lost its store since |
//! | a member, its store or its clock fails | `CrashMember`, `LoseMember`, `LoseMemberAndClock` |
//! | an operator says `init` of a member again (P25) | `InitMember` |
//! | a producer or its store fails | `CrashProducer`, `LoseProducer` |
//! | an older copy of its store is restored (P27) | `RollBack` |
//!
//! What pings and reads return is judged by a monitor that keeps whatever could explain the history. Two checks compare it, in
//! every state, with stateright's own tester of linearizability.
//!
//! # Catch-up
//!
//! One producer and three consumers on links as the contract has them: they are cut, and heal or stay cut, which makes a bridge.
//! Answers are not ordered with what goes to servers (C2). Whenever nothing is left to do, all is quiet and every connected group
//! agrees (P16).
//!
//! # Bounds
//!
//! Three members, up to two pings of each producer, up to three reads; one or two lost stores of members, with a crash of a
//! producer, and with a lost store of a producer besides. Five members with a ping or two, at most a read, and one or two lost
//! stores, or one and a crash of the producer. The first start of three members, with one wrong `init`. States that differ in
//! names alone are explored once: members are alike, readers are, and so are producers where nobody asks for the value of one.
//!
//! Not in it: time, so of deadlines and backoff no more than "asked again, or not"; fairness, so that progress is no more than
//! "where nothing is left to do, nothing is missing"; votes and catch-up in one world; P8; the levels `local` and `fresh`. A
//! member that recovers stores nothing until it is done. What nobody notices of a rolled-back store is CANNOT 7.

#![forbid(unsafe_code)]
// A test crate: it reports to the terminal, and what cannot be explored is a failed test.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod alike;
mod catchup;
mod catchup_steps;
mod catchups;
mod cluster;
mod clusters;
mod counts;
mod history;
mod monitor;
mod promises;
mod queue;
mod reads;
#[path = "../support/report.rs"]
mod report;
mod rules;
mod run;
mod servers;
#[path = "../session_model/shared.rs"]
mod shared;
mod steps;
mod symmetry;

use rules::Rule;
use run::{finds, holds};

macro_rules! hold {
    ($($name:ident: $check:expr;)*) => {
        $(#[test] fn $name() { holds(stringify!($name), $check); })*
    };
}

macro_rules! bug {
    ($($name:ident: $rule:ident off in $check:expr, breaks $promise:literal;)*) => {
        $(#[test] fn $name() { finds(stringify!($name), $promise, $check.without(Rule::$rule)); })*
    };
}

hold! {
    cross: clusters::cross();
    cross_crash: clusters::cross_crash();
    abd_2_2_total: clusters::total();
    abd_monotone: clusters::monotone();
    abd_2_1_joint: clusters::joint();
    abd_crash: clusters::crash();
    abd_3_reads: clusters::three_reads();
    abd_five: clusters::five();
    amnesia_1: clusters::amnesia();
    amnesia_2: clusters::amnesia_twice();
    amnesia_clock_back: clusters::clock_back();
    amnesia_crash: clusters::amnesia_crash();
    amnesia_crash_total: clusters::amnesia_crash_total();
    amnesia_2_crash: clusters::amnesia_twice_crash();
    amnesia_crash_lost_producer: clusters::amnesia_crash_lost_producer();
    amnesia_five: clusters::amnesia_five();
    amnesia_five_2: clusters::amnesia_five_twice();
    amnesia_five_crash: clusters::amnesia_five_crash();
    first_start: clusters::first_start();
    init_five: clusters::init_five();
    lost_producer: clusters::lost_producer();
    rolled_back: clusters::rolled_back();
    skip_if_same: clusters::skip_if_same();
    skip_if_same_amnesia: clusters::skip_if_same_amnesia();
    stable_vector: clusters::snapshot();
    stable_vector_amnesia: clusters::snapshot_amnesia();
    catchup_full: catchups::whole();
    catchup_producer_crash: catchups::producer_crash();
    catchup_producer_dies: catchups::producer_dies();
    catchup_both_crash: catchups::both_crash();
    catchup_stores_last: catchups::stores_last();
    catchup_bridge: catchups::bridge();
    catchup_deadline: catchups::deadline();
    catchup_only_producers: catchups::only_producers(catchups::two_pings());
}

bug! {
    bug_cross: WriteBack off in clusters::cross_value(), breaks "linearizable";
    bug_no_write_back: WriteBack off in clusters::value(), breaks "linearizable";
    bug_no_amnesia_rule: Recovers off in clusters::amnesia_small::<3>(), breaks "every quorum";
    bug_amnesia_one_other: QuorumOfOthers off in clusters::amnesia_small::<3>(), breaks "every quorum";
    bug_amnesia_naive: Voices off in clusters::amnesia_small::<3>(), breaks "every quorum";
    bug_amnesia_two_others_of_five: QuorumOfOthers off in clusters::amnesia_small::<5>(), breaks "every quorum";
    bug_amnesia_naive_of_five: Voices off in clusters::amnesia_small::<5>(), breaks "every quorum";
    bug_amnesia_old_epoch: EpochAbove off in clusters::clock_back_small(), breaks "every quorum";
    bug_init_votes_at_once: InitAsks off in clusters::first_start(), breaks "every quorum";
    bug_init_asks_one_other: InitAsksQuorum off in clusters::first_start_small::<3>(), breaks "every quorum";
    bug_ack_before_sync: SyncBeforeVoice off in clusters::member_crash(), breaks "every quorum";
    bug_send_before_sync: SyncBeforeCast off in clusters::crash_small(), breaks "every quorum";
    bug_same_slot_majority: NewSlot off in clusters::lost_producer_small(), breaks "linearizable";
    bug_same_slot_rolled_back: StoreIsOlder off in clusters::rolled_back_small(), breaks "every quorum";
    bug_vector: Identical off in clusters::snapshot_small(), breaks "linearizable";
    bug_batch_total: UnitPings off in clusters::one_read(), breaks "linearizable";
    bug_catchup_late_register: RegisterFirst off in catchups::only_producers(catchups::consumer_crash()), breaks "nothing is left";
    bug_catchup_no_up_cast: CastOnUp off in catchups::only_producers(catchups::one_cut()), breaks "nothing is left";
    bug_catchup_no_initial_ups: CastOnFirstUps off in catchups::only_producers(catchups::producer_crash()), breaks "nothing is left";
    bug_catchup_producer_dies: NewsOnUp off in catchups::only_producers(catchups::producer_dies()), breaks "nothing is left";
    bug_catchup_dies_on_up: NewsOnChange off in catchups::producer_dies(), breaks "nothing is left";
    bug_catchup_bridge: NewsOnUp off in catchups::only_producers(catchups::one_cut_bridge()), breaks "nothing is left";
    bug_catchup_bridge_on_up: NewsOnChange off in catchups::one_cut_bridge(), breaks "nothing is left";
    bug_catchup_consumers_not_asked: AskConsumers off in catchups::both_crash(), breaks "nothing is left";
    bug_catchup_no_retry: AskAgain off in catchups::only_producers(catchups::deadline()), breaks "nothing is left";
}
