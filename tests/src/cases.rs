//! The list of cases: the one place where it stands.

use crate::capability::Capability;
use crate::run::Case;

/// Hands the list of cases to a macro of this crate: promise, chapter and name of each, and what it needs of a harness.
///
/// The table [`CASES`](crate::CASES) and the named tests of [`conformance_suite!`](crate::conformance_suite) come from it.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident($($extra:tt)*)) => { $crate::$callback! { ($($extra)*)
        "M1" => membership::list_is_sorted_and_without_the_local_node [];
        "M1" => membership::list_of_a_lone_node_is_empty [];
        "M1" => membership::list_forgets_a_node_that_is_down [Crash];
        "M2" => membership::a_monitor_starts_with_an_up_for_each_linked_node [];
        "M2" => membership::a_monitor_from_before_sees_the_first_node_come [];
        "M2" => membership::every_monitor_sees_every_event [];
        "M2" => monitors::a_monitor_that_begins_while_links_flap_misses_nothing [];
        "M3" => membership::up_and_down_alternate_on_both_sides [];
        "M3" => membership::down_names_the_incarnation_that_was_up [];
        "M3" => sessions::a_quick_restart_is_down_of_the_old_and_up_of_the_new [Crash];
        "M3" => sessions::many_restarts_in_a_row_are_told_in_order [Crash];
        "M4" => membership::whoever_has_handled_up_finds_the_node_in_list [];
        "M4" => membership::disconnect_returns_once_the_down_is_in_the_monitors_view [];
        "M5" => membership::a_leaver_is_told_from_a_lost_one [Cut];
        "M5" => membership::a_reset_by_command_says_so_on_both_sides [];
        "M5" => membership::a_local_shutdown_says_so [];
        "M5" => reasons::a_one_way_cut_is_lost_to_the_deaf_and_lost_us_to_the_other [CutOneWay];
        "M5" => reasons::a_quick_restart_is_down_as_replaced [Crash];
        "M5" => reasons::a_quick_restart_elsewhere_is_down_as_replaced [Crash, Twin];
        "M5" => reasons::a_restart_after_the_verdict_is_down_as_lost [Crash];
        "M5" => reasons::a_peer_that_breaks_the_protocol_is_down_with_words [Misbehave];
        "M5" => sessions::a_node_that_is_raised_renews_its_other_links [Crash, Cut, SetClock];
        "M6" => links::a_silent_peer_is_down_within_the_failure_timeout [Cut];
        "M6" => links::a_crashed_peer_is_down_within_the_failure_timeout [Crash];
        "M6" => links::a_distant_peer_is_not_lost [Delay];
        "M6" => links::an_idle_link_stays [];
        "M6" => links::a_short_stall_of_a_node_is_no_failure [Stall];
        "M6" => links::a_pause_of_the_own_process_is_nobodys_silence [Suspend, Cut];
        "M7" => links::a_link_returns_after_a_heal_without_traffic [Cut];
        "M7" => links::a_link_returns_after_a_disconnect [];
        "M7" => links::a_seed_that_starts_later_is_found [];
        "M7" => links::nodes_learn_of_each_other_from_a_common_neighbour [];
        "M7" => links::a_node_that_moved_is_found_by_the_word_of_a_neighbour [Crash, BlockDials];
        "M7" => links::a_seed_leads_to_whoever_lives_there_now [Crash];
        "M7" => links::the_last_known_address_suffices [Crash];
        "M7" => links::an_address_on_either_side_suffices [BlockDials];
        "M7" => links::a_forgotten_node_is_not_dialled [Crash];
        "M7" => links::a_node_that_was_gone_for_long_is_forgotten [Crash, ForgetAfter];
        "M7" => links::a_seed_that_forgot_is_dialled_again [];
        "M7" => links::a_leaver_is_not_dialled_but_may_return [];
        "M7" => links::all_links_return_after_a_long_partition [Cut];
        "M8" => membership::a_slow_monitor_gets_flaps_folded [];
        "M8" => membership::a_monitor_that_was_never_read_shows_the_present [Crash];
        "M8" => membership::unread_monitors_delay_nobody [];
        "M8" => monitors::a_monitor_that_sleeps_while_many_names_come_and_go_shows_the_present [Limits];
        "M9" => sessions::nodes_that_dial_each_other_at_once_get_one_link_and_no_down [];
        "M9" => sessions::a_one_sided_loss_ends_the_session_on_both_sides [CutOneWay];
        "M9" => sessions::a_restarted_node_gets_nothing_of_its_former_life [Crash];
        "M9" => sessions::what_is_lost_was_lost_with_a_down_on_each_side [CutOneWay];
        "M9" => sessions::a_peer_that_does_not_answer_is_never_up [Misbehave];
        "M9" => sessions::the_greater_name_alone_can_dial [BlockDials];
        "M9" => sessions::the_smaller_name_alone_can_dial [BlockDials];
        "Words" => sessions::links_are_pairwise [Cut];
        "Words" => sessions::a_restart_after_a_goodbye_is_greater [];
        "Words" => sessions::a_stored_incarnation_is_exceeded_although_the_clock_was_set_back [Crash, SetClock, Stores];
        "Words" => sessions::peers_raise_a_restart_whose_clock_was_set_back [Crash, Cut, SetClock];
        "Words" => lifecycle::one_server_of_a_name [];
        "C1" => casts::abcast_reaches_the_local_and_every_linked_node [];
        "C1" => casts::abcast_to_named_nodes_reaches_them_only [];
        "C1" => casts::a_target_that_is_not_linked_is_refused_alone [];
        "C1" => casts::abcast_to_nobody_is_sent_to_nobody [];
        "C1" => casts::a_lone_node_casts_to_itself [];
        "C1" => casts::abcast_does_not_wait_for_handlers [];
        "C1" => casts::an_abcast_that_is_given_up_goes_to_all_or_to_nobody [];
        "C2" => casts::casts_arrive_in_the_order_sent [];
        "C2" => casts::each_sender_keeps_its_order [];
        "C2" => casts::casts_and_calls_are_delivered_in_the_order_sent [];
        "C3" => delivery::a_busy_session_has_no_gap_and_no_duplicate [];
        "C3" => delivery::a_crash_of_the_sender_leaves_a_prefix [Crash];
        "C3" => delivery::every_session_has_a_prefix_over_cuts [Cut];
        "C3" => casts::bodies_types_and_versions_arrive_as_sent [];
        "C3" => casts::an_empty_body_is_a_message [];
        "C3" => lanes::a_lane_that_fails_ends_the_session_on_both_sides [BreakLanes];
        "C4" => delivery::messages_lie_between_up_and_down_of_their_session [];
        "C4" => delivery::what_is_unhandled_at_down_is_dropped_and_counted [];
        "C4" => delivery::nothing_of_an_old_life_comes_after_up_of_the_new [Crash];
        "C4" => delivery::a_server_with_events_starts_with_an_up_for_each_linked_node [];
        "C4" => delivery::a_server_without_events_gets_messages_alone [];
        "C4" => delivery::what_is_sent_before_the_others_up_waits_for_it [Delay];
        "C5" => delivery::a_cast_to_no_server_is_counted_and_the_link_stays [];
        "C5" => delivery::the_mailbox_of_a_crashed_server_is_dropped_and_counted [];
        "C5" => delivery::a_crashed_server_takes_nobody_along [];
        "C5" => delivery::a_server_sees_no_gap_from_its_registration_on [];
        "C6" => delivery::a_server_that_does_not_read_delays_no_other [];
        "C6" => delivery::a_large_message_delays_no_other_server [];
        "C6" => lanes::a_message_of_the_greatest_size_delays_neither_others_nor_the_detector [Cut, Delay];
        "C6" => delivery::names_beyond_the_lanes_share_one_and_keep_their_order [Limits];
        "C6" => delivery::each_server_gets_its_own_messages [];
        "C7" => casts::one_encoding_serves_all_targets [];
        "C7" => casts::a_cast_that_waits_for_room_is_not_encoded_again [];
        "R1" => calls::a_call_returns_by_its_deadline [];
        "R1" => calls::a_call_returns_by_its_deadline_although_the_peer_is_cut_off [Cut];
        "R1" => calls::a_call_with_no_time_returns_at_once [];
        "R1" => calls::a_call_returns_by_its_deadline_although_the_queue_is_full [];
        "R1" => calls::a_call_returns_as_soon_as_all_outcomes_are_known [];
        "R2" => calls::every_target_has_exactly_one_outcome [];
        "R2" => calls::a_call_to_all_includes_the_local_node [];
        "R2" => calls::a_lone_node_calls_itself [];
        "R2" => calls::the_targets_are_fixed_at_the_call [];
        "R3" => failures::no_such_server_is_known_at_once [];
        "R3" => failures::a_node_that_is_not_linked_is_known_at_once [];
        "R3" => failures::a_node_that_is_not_linked_is_known_although_every_turn_is_taken [Limits];
        "R3" => failures::that_all_targets_went_down_is_known_although_every_turn_is_taken [Crash, Limits];
        "R3" => failures::a_handler_that_gives_its_caller_up_stopped [];
        "R3" => failures::calls_end_when_their_server_crashes [];
        "R3" => failures::each_refusal_has_its_own_reason [];
        "R3" => failures::a_crash_tells_calls_that_wait_for_room_that_they_were_not_sent [Crash];
        "R3" => failures::a_reset_tells_calls_that_wait_for_room_that_they_were_not_sent [];
        "R3" => failures::a_node_that_crashes_ends_the_calls_to_it [Crash];
        "R3" => failures::a_reset_link_ends_its_calls_and_moves_none [];
        "R3" => failures::a_call_waiting_in_a_mailbox_does_not_run_after_its_session [];
        "R3" => failures::a_passed_deadline_is_told_from_a_node_that_is_down [];
        "R3" => failures::a_request_over_the_limit_is_not_sent [Limits];
        "R3" => failures::a_reply_over_the_limit_names_both_sizes [Limits];
        "R4" => calls::a_late_reply_reaches_no_later_call [];
        "R4" => calls::a_late_reply_reaches_no_call_of_a_new_session [];
        "R5" => calls::a_server_does_not_start_on_an_expired_request [];
        "R5" => calls::a_server_does_not_start_on_a_request_that_was_given_up [];
        "R5" => calls::a_deadline_holds_although_no_word_of_the_caller_arrives [CutOneWay];
        "R5" => calls::a_handler_learns_that_its_caller_gave_up [];
        "R5" => calls::a_deadline_travels_over_a_slow_way [Delay];
        "R6" => calls::calls_run_concurrently [];
        "R6" => calls::a_slow_server_delays_only_the_calls_to_itself [];
        "O1" => overload::a_receiver_that_does_not_read_fills_a_bounded_queue [];
        "O1" => overload::the_variant_that_does_not_wait_is_bounded_too [];
        "O1" => overload::the_smallest_messages_are_bounded_too [];
        "O1" => overload::large_messages_share_one_budget [Limits];
        "O1" => overload::large_answers_share_one_budget [Limits];
        "O1" => overload::an_answer_beyond_the_bound_of_all_fails_alone [Limits];
        "O1" => overload::bounds_that_multiply_to_too_much_are_refused_at_start [Limits];
        "O2" => overload::a_sender_waits_for_room_and_loses_nothing [];
        "O2" => overload::waiting_senders_are_served_in_their_order [];
        "O2" => overload::refuse_sends_to_nobody_when_one_is_full [];
        "O2" => overload::skip_gives_it_to_those_that_have_room [];
        "O2" => overload::one_slow_node_does_not_delay_casts_to_others [];
        "O2" => overload::a_target_that_goes_down_is_no_longer_waited_for [Crash];
        "O3" => overload::a_server_that_takes_nothing_is_stopped_by_its_own_node [];
        "O3" => overload::a_slow_server_is_not_stopped [];
        "O3" => overload::a_peer_that_stands_still_is_cut_and_returns [Stall];
        "O3" => lanes::a_peer_that_takes_no_byte_is_cut_as_overloaded [FreezeLanes];
        "O3" => lanes::a_peer_that_takes_bytes_again_in_time_is_not_cut [FreezeLanes];
        "O3" => lanes::a_caller_that_takes_no_replies_is_cut_and_the_server_lives [FreezeLanes];
        "O4" => messages::a_message_over_the_maximum_is_refused_with_both_sizes [Limits];
        "O4" => messages::a_message_of_the_maximum_is_delivered_whole [Limits];
        "O4" => messages::a_message_larger_than_the_queues_is_delivered_whole [];
        "S1" => lifecycle::a_bad_bound_is_refused_by_name_and_nothing_is_half_started [Limits];
        "S1" => lifecycle::a_place_that_is_taken_is_refused_and_stays_with_its_owner [];
        "S2" => lifecycle::a_leaver_flushes_what_it_has_sent [];
        "S2" => lifecycle::a_leaver_flushes_every_lane [Limits];
        "S2" => lifecycle::a_leaver_that_could_not_flush_says_so [];
        "S2" => lifecycle::a_shutdown_ends_by_its_deadline_although_a_peer_is_cut_off [Cut];
        "S2" => lifecycle::calls_in_flight_end_on_both_sides [];
        "S2" => lifecycle::monitors_and_inboxes_end_with_their_node [];
        "S2" => lifecycle::a_stopped_node_takes_nothing_more [];
        "S2" => lifecycle::a_second_shutdown_waits_for_the_first [];
        "S2" => lifecycle::a_stopped_node_leaves_its_place_free [];
        "S2" => lifecycle::a_stopped_node_leaves_no_task [CountTasks];
        "S3" => lifecycle::of_two_processes_of_a_name_the_greater_wins [Twin, SetClock];
        "S3" => lifecycle::a_lesser_second_process_stops_if_the_greater_is_alive [Twin, SetClock];
        "S3" => lifecycle::a_restart_is_not_taken_for_a_second_process [Crash, SetClock];
        "A1" => authorization::a_node_of_another_cluster_never_links [Clusters];
        "A1" => authorization::a_node_without_an_identity_of_its_name_never_links [Identities];
        "A1" => authorization::a_peer_that_says_another_name_than_it_proves_never_links [Misbehave];
        "A1" => authorization::a_handler_gets_the_authenticated_sender [];
        "A1" => authorization::a_server_serves_only_those_that_it_names [];
        "A1" => authorization::a_server_of_nobody_serves_the_local_node_alone [];
        "A2" => messages::a_cast_that_does_not_decode_is_counted_and_the_link_stays [];
        "A2" => messages::a_call_that_does_not_decode_is_answered_so [];
        "A2" => messages::every_message_carries_its_type_and_version [];
        "A3" => authorization::minor_versions_talk [Greet];
        "A3" => authorization::major_versions_refuse_each_other_and_name_both [Greet];
        "A3" => authorization::minor_versions_that_do_not_meet_refuse_each_other_and_name_both [Greet];
        "F1" => faults::a_cut_is_silent [Cut];
        "F1" => faults::a_cut_concerns_two_nodes_alone [Cut];
        "F1" => faults::a_one_way_cut_leaves_the_other_way_open [CutOneWay];
        "F1" => faults::a_partition_separates_groups [Cut];
        "F1" => faults::a_delay_delays_and_breaks_nothing [Delay];
        "F1" => faults::a_crash_says_no_goodbye [Crash];
        "F2" => faults::a_short_cut_loses_nothing [Cut];
        "F2" => faults::a_short_one_way_cut_loses_nothing [CutOneWay];
        "F2" => faults::calls_survive_a_short_cut [Cut];
        "F2" => faults::both_sides_see_the_same_outcome_of_a_medium_cut [Cut];
        "F3" => faults::a_long_cut_is_down_on_both_sides_and_up_again [Cut];
        "F3" => faults::a_long_one_way_cut_is_down_within_two_timeouts [CutOneWay];
    } };
}

/// Makes the table of cases from the list.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_table {
    (() $($promise:literal => $module:ident::$name:ident [$($need:ident),*];)*) => {
        &[$(Case {
            name: stringify!($name),
            module: stringify!($module),
            promise: $promise,
            needs: &[$(Capability::$need),*],
            run: |cluster| Box::pin($crate::$module::$name(cluster)),
        }),*]
    };
}

/// Makes the named tests from the list.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_tests {
    (($factory:expr) $($promise:literal => $module:ident::$name:ident [$($need:ident),*];)*) => {
        $(
            #[test]
            fn $name() {
                $crate::run_test(stringify!($name), ($factory)());
            }
        )*
    };
}

/// Expands to one named test for each case of the suite.
///
/// `factory` is called without arguments, once for each case, and returns a [`Harness`](crate::Harness) of its own for it.
///
/// ```text
/// pingpong_conformance::conformance_suite!(MyHarness::new);
/// ```
#[macro_export]
macro_rules! conformance_suite {
    ($factory:expr) => {
        $crate::for_each_case!(__case_tests($factory));
    };
}

/// Every case of the suite.
pub static CASES: &[Case] = for_each_case!(__case_table());
