//! The 35 scenarios of the counting protocol, by their numbers in `docs/counts.md`, and what is lost by which fault: on the in-memory network,
//! where the clock is paused, and on QUIC in real time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests
#![allow(clippy::print_stdout)] // the seed stands beside a failure

mod actor;
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/mod.rs"]
mod mem_harness;
#[path = "../quic/harness.rs"]
mod quic_harness;

mod abuse;
mod catch_up;
mod chance;
mod files;
mod losses;
mod majority;
mod producers;
mod reads;
mod stores;

use pingpong_conformance::toolkit::Cluster;
use pingpong_conformance::{Capability, Case, Harness, Outcome, Running, run_case};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Runs a scenario; none may be skipped.
fn run(scenario: &Case, harness: impl Harness) {
    match run_case(scenario, Arc::new(harness)) {
        Outcome::Passed => {}
        other => panic!("{}: {other:?}", scenario.name),
    }
}

/// Plays a scenario of chance with each of these seeds. `SEED=7` plays that one alone.
fn play<H: Harness>(
    seeds: Range<u64>,
    harness: impl Fn(u64) -> H,
    scenario: for<'a> fn(&'a Cluster, u64) -> Running<'a>,
) {
    let seed = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    for seed in seed.map_or(seeds, |seed| seed..seed + 1) {
        println!("seed {seed}");
        let harness = harness(seed);
        let (limit, runtime) = (harness.timing().case_limit(), harness.runtime());
        let cluster = Cluster::new(Arc::new(harness));
        let ended = runtime.block_on(async { tokio::time::timeout(limit, scenario(&cluster, seed)).await });
        assert!(ended.is_ok(), "seed {seed}: it did not end within {limit:?}");
        drop(cluster);
        runtime.shutdown_background();
    }
}

/// In memory many seeds are played, on a network where every packet takes a time of its own; in real time few.
const IN_MEMORY: Range<u64> = 0..24;
const IN_REAL_TIME: Range<u64> = 0..1;
const JITTER: Duration = Duration::from_millis(8);

macro_rules! scenarios {
    (each { $($module:ident::$name:ident;)* } by chance { $($chances:ident::$chance:ident;)* }) => {
        mod mem {
            use super::*;
            scenarios!(crate::mem_harness::MemHarness::new(); $($module::$name;)*);
            $(
                #[test]
                fn $chance() {
                    let harness = |seed| crate::mem_harness::MemHarness::rough(seed, JITTER);
                    play(IN_MEMORY, harness, |cluster, seed| Box::pin($chances::$chance(cluster, seed)));
                }
            )*
        }
        mod quic {
            use super::*;
            scenarios!(crate::quic_harness::QuicHarness::new(); $($module::$name;)*);
            $(
                #[test]
                fn $chance() {
                    let harness = |_| crate::quic_harness::QuicHarness::new();
                    play(IN_REAL_TIME, harness, |cluster, seed| Box::pin($chances::$chance(cluster, seed)));
                }
            )*
        }
    };
    ($harness:expr; $($module:ident::$name:ident;)*) => {
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
    };
}

scenarios! {
    each {
        catch_up::scenario_01_three_nodes_ping_a_hundred_times_each;
        catch_up::scenario_02_a_consumer_crashes_again_and_again_while_pings_go_on;
        catch_up::scenario_03_a_cut_node_whose_store_is_lost_has_everything_after_the_heal;
        catch_up::scenario_04_the_counts_of_a_producer_that_is_gone_come_from_other_consumers;
        catch_up::scenario_05_counts_cross_a_bridge;
        producers::scenario_06_a_producer_that_crashes_between_sync_and_cast_is_counted;
        producers::scenario_07_a_number_that_is_lost_with_a_queued_ping_was_never_shown;
        producers::scenario_08_a_kill_during_a_group_commit_counts_all_or_none_of_it;
        producers::scenario_09_old_pings_from_the_far_side_and_new_ones_add_up;
        producers::scenario_10_two_epochs_of_one_name_are_summed_at_every_level;
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
        reads::scenario_25_snapshots_are_ordered_and_unstable_while_pings_never_pause;
        reads::scenario_26_fresh_says_who_is_missing_and_what_is_exact;
        producers::scenario_27_a_restored_file_begins_a_new_epoch_when_others_have_seen_more;
        stores::scenario_28_a_second_process_on_one_file_does_not_start;
        stores::scenario_29_a_full_disk_acknowledges_nothing_and_goes_on_without_a_gap;
        stores::scenario_30_a_failed_sync_stops_the_node_and_the_disk_says_what_was_kept;
        stores::scenario_31_a_file_cut_within_its_last_commit_shows_it_whole_or_not_at_all;
        stores::scenario_32_a_file_of_a_newer_format_is_refused_and_left_as_it_is;
        abuse::scenario_33_abuse_is_counted_and_changes_nothing;
        producers::scenario_34_the_last_number_is_given_and_none_after_it;
        reads::fresh_shows_a_ping_that_a_later_majority_read_does_not;
        losses::all_stop_and_keep_their_files_and_nothing_is_lost;
        losses::all_stop_in_memory_and_refuse_until_a_person_accepts_the_loss;
        losses::a_quorum_of_lost_disks_takes_what_only_they_had;
        losses::a_lost_disk_takes_what_nobody_else_has_stored;
        losses::a_disk_lost_during_a_partition_takes_what_its_side_alone_had;
        losses::a_producer_killed_during_a_partition_has_lost_nothing_on_its_file;
        losses::a_producer_killed_in_memory_during_a_partition_has_lost_what_its_side_has_not_seen;
        losses::a_disk_that_lied_loses_what_nobody_has_and_numbers_that_it_gives_twice;
        losses::a_member_says_that_it_has_lost_its_store_and_who_does_not_vote_cannot;
        losses::a_member_whose_disk_lied_votes_without_what_it_held_unless_the_disk_is_set_aside;
    }
    by chance {
        chance::scenario_24_what_clients_see_at_majority_is_linearizable;
        chance::scenario_35_after_random_faults_all_agree_and_nothing_is_lost;
    }
}
