//! The 35 scenarios of the counting protocol, by their numbers in `docs/counts.md`: on the in-memory network, where the clock is paused, and
//! on QUIC in real time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod actor;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/mod.rs"]
mod mem_harness;
#[path = "../quic/harness.rs"]
mod quic_harness;

mod catch_up;
mod majority;

use pingpong_conformance::toolkit::Cluster;
use pingpong_conformance::{Capability, Case, Harness, Outcome, run_case};
use std::sync::Arc;

/// Runs a scenario; none may be skipped.
fn run(scenario: &Case, harness: impl Harness) {
    match run_case(scenario, Arc::new(harness)) {
        Outcome::Passed => {}
        other => panic!("{}: {other:?}", scenario.name),
    }
}

macro_rules! scenarios {
    ($($module:ident::$name:ident;)*) => {
        scenarios!(on mem, crate::mem_harness::MemHarness::new(); $($module::$name;)*);
        scenarios!(on quic, crate::quic_harness::QuicHarness::new(); $($module::$name;)*);
    };
    (on $transport:ident, $harness:expr; $($module:ident::$name:ident;)*) => {
        mod $transport {
            use super::*;
            $(
                #[test]
                fn $name() {
                    let scenario = Case {
                        name: stringify!($name),
                        module: stringify!($module),
                        promise: "P9",
                        needs: &[Capability::Cut, Capability::Crash],
                        run: |cluster: &Cluster| Box::pin($module::$name(cluster)),
                    };
                    run(&scenario, $harness);
                }
            )*
        }
    };
}

scenarios! {
    catch_up::scenario_01_three_nodes_ping_a_hundred_times_each;
    catch_up::scenario_02_a_consumer_crashes_again_and_again_while_pings_go_on;
    catch_up::scenario_03_a_cut_node_whose_store_is_lost_has_everything_after_the_heal;
    catch_up::scenario_04_the_counts_of_a_producer_that_is_gone_come_from_other_consumers;
    catch_up::scenario_05_counts_cross_a_bridge;
    catch_up::scenario_11_a_ping_between_registration_and_reply_is_counted;
    catch_up::scenario_12_a_catch_up_that_ran_into_its_deadline_is_repeated;
    catch_up::scenario_13_a_producer_that_starts_late_is_counted_without_a_ping;
    majority::scenario_14_a_minority_refuses_to_ping_and_counts_nothing;
    majority::scenario_15_a_ping_whose_quorum_is_lost_is_unconfirmed_and_confirmed_later;
    majority::scenario_16_what_a_majority_acknowledged_any_two_of_three_have;
    majority::scenario_17_a_minority_refuses_to_read_at_once;
    majority::scenario_18_what_a_read_has_shown_no_later_read_lacks;
    majority::scenario_19_a_lost_disk_and_one_other_member_are_no_majority;
    majority::scenario_20_a_voice_from_before_a_loss_does_not_count;
    majority::scenario_21_two_of_three_without_memory_wait_for_a_person;
    majority::scenario_22_a_second_first_start_recovers_instead;
    majority::scenario_23_other_members_are_refused_on_both_sides;
}
