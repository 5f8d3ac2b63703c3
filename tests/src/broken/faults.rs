//! The list of faults: the one place where it stands.

macro_rules! faults {
    ($($(#[$doc:meta])+ $name:ident [$($case:ident),* $(,)?];)*) => {
        /// One way in which a transport, or the harness around it, breaks the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])+ $name),*
        }

        /// Every fault.
        pub const FAULTS: &[Fault] = &[$(Fault::$name),*];

        /// The names of cases that notice a fault, among others.
        pub fn breaks(fault: Fault) -> &'static [&'static str] {
            match fault {
                $(Fault::$name => &[$(stringify!($case)),*]),*
            }
        }
    };
}

faults! {
    /// Drops every hundredth cast, and says that it was sent.
    DropsHundredthCast [each_sender_keeps_its_order, names_beyond_the_lanes_share_one_and_keep_their_order, a_server_sees_no_gap_from_its_registration_on];
    /// Drops the first cast, and says that it was sent.
    DropsFirstCast [a_lone_node_casts_to_itself, a_cut_concerns_two_nodes_alone, an_empty_body_is_a_message];
    /// Drops casts without a body.
    DropsEmptyBodies [an_empty_body_is_a_message];
    /// Drops what is sent during a cut, also a short one.
    DropsDuringCuts [a_cut_concerns_two_nodes_alone, a_one_way_cut_leaves_the_other_way_open, a_short_cut_loses_nothing];
    /// Sends every tenth cast twice.
    DuplicatesCasts [each_sender_keeps_its_order, names_beyond_the_lanes_share_one_and_keep_their_order, a_server_sees_no_gap_from_its_registration_on];
    /// Sends every tenth cast after the next one.
    SwapsCasts [a_server_sees_no_gap_from_its_registration_on, bodies_types_and_versions_arrive_as_sent, casts_arrive_in_the_order_sent];
    /// Sends casts a little later than calls.
    CallsOvertakeCasts [a_message_larger_than_the_queues_is_delivered_whole, a_cast_to_no_server_is_counted_and_the_link_stays, a_handler_gets_the_authenticated_sender];
    /// Sends to all targets but the last, and says that all accepted.
    SendsToSome [a_lone_node_casts_to_itself, abcast_does_not_wait_for_handlers, abcast_to_nobody_is_sent_to_nobody];
    /// Sends to all nodes, whichever were named.
    SendsToAll [abcast_to_nobody_is_sent_to_nobody, a_cut_is_silent, a_large_message_delays_no_other_server];
    /// Never sends to the local node.
    SkipsTheLocalNode [a_lone_node_casts_to_itself, abcast_reaches_the_local_and_every_linked_node, one_encoding_serves_all_targets];
    /// Names nobody who did not accept.
    HidesRefused [a_target_that_is_not_linked_is_refused_alone, a_target_that_goes_down_is_no_longer_waited_for, skip_gives_it_to_those_that_have_room];
    /// Names those who accepted in the wrong order.
    ReportsUnsorted [abcast_reaches_the_local_and_every_linked_node];
    /// Sends to those that have room although it refuses.
    RefuseSendsToOthers [refuse_sends_to_nobody_when_one_is_full];
    /// One full node keeps a cast from the others.
    SkipKeepsItFromOthers [skip_gives_it_to_those_that_have_room];
    /// Queues without an end.
    NeverFull [the_variant_that_does_not_wait_is_bounded_too, casts_arrive_in_the_order_sent, a_target_that_is_not_linked_is_refused_alone];
    /// A sender that waits for one node makes all others wait.
    OneFullNodeBlocksAll [one_slow_node_does_not_delay_casts_to_others];
    /// Waits for room at one target after the other, so that a sender that gives up has sent to some.
    SendsOneByOne [abcast_to_named_nodes_reaches_them_only];
    /// Waits for room at a target that is not linked.
    WaitsForTheDead [a_target_that_is_not_linked_is_refused_alone, a_target_that_goes_down_is_no_longer_waited_for, every_session_has_a_prefix_over_cuts];
    /// Serves the sender that waits least.
    ServesTheLastWaiterFirst [waiting_senders_are_served_in_their_order];
    /// The twentieth cast never returns.
    TwentiethAbcastSticks [abcast_does_not_wait_for_handlers, each_sender_keeps_its_order, each_server_gets_its_own_messages];
    /// Turns a bit of each body over.
    CorruptsBodies [a_message_of_the_maximum_is_delivered_whole, a_large_message_delays_no_other_server, a_message_larger_than_the_queues_is_delivered_whole];
    /// Every message is of version 0.
    LosesVersions [every_message_carries_its_type_and_version, one_encoding_serves_all_targets, bodies_types_and_versions_arrive_as_sent];
    /// Sends every fifth cast to the server of the cast before.
    MixesServers [each_server_gets_its_own_messages, names_beyond_the_lanes_share_one_and_keep_their_order, a_server_that_takes_nothing_is_stopped_by_its_own_node];
    /// Accepts a message over the maximum, and drops it.
    AcceptsOversize [a_message_over_the_maximum_is_refused_with_both_sizes];
    /// Sends as much of a message over the maximum as is allowed.
    TruncatesOversize [a_message_over_the_maximum_is_refused_with_both_sizes];
    /// Names the wrong size of a message over the maximum.
    ForgetsSizes [a_reply_over_the_limit_names_both_sizes, a_request_over_the_limit_is_not_sent, a_message_over_the_maximum_is_refused_with_both_sizes];
    /// Refuses a message of the maximum itself.
    RefusesTheMaximum [the_variant_that_does_not_wait_is_bounded_too, a_message_of_the_maximum_is_delivered_whole, a_large_message_delays_no_other_server];
    /// Accepts casts and servers after the shutdown.
    TakesMoreAfterShutdown [a_stopped_node_takes_nothing_more];
    /// Reports each answer of a call twice.
    AnswersTwice [a_call_returns_as_soon_as_all_outcomes_are_known, a_lone_node_calls_itself, calls_survive_a_short_cut];
    /// Leaves out targets that failed.
    FewerResults [a_call_with_no_time_returns_at_once, a_call_returns_by_its_deadline, a_node_that_is_not_linked_is_known_at_once];
    /// Leaves out the last answer.
    LosesAReply [a_call_returns_as_soon_as_all_outcomes_are_known, a_lone_node_calls_itself, calls_survive_a_short_cut];
    /// Reports a target that nobody asked for.
    MoreResults [a_call_with_no_time_returns_at_once, a_call_returns_by_its_deadline, a_node_that_is_not_linked_is_known_at_once];
    /// Gives calls fifty times their deadline.
    NeverTimesOut [a_call_returns_by_its_deadline, a_call_returns_by_its_deadline_although_the_peer_is_cut_off, a_passed_deadline_is_told_from_a_node_that_is_down];
    /// Gives calls a quarter of their deadline.
    GivesUpEarly [a_call_returns_by_its_deadline];
    /// Returns from a call at its deadline, also if all is known before.
    SitsOutTheDeadline [a_call_returns_as_soon_as_all_outcomes_are_known, a_node_that_is_not_linked_is_known_at_once, calls_in_flight_end_on_both_sides];
    /// A call to all leaves out the local node.
    CallsOthersOnly [a_call_returns_as_soon_as_all_outcomes_are_known, a_lone_node_calls_itself, a_call_to_all_includes_the_local_node];
    /// Turns a bit of each request over.
    CorruptsRequests [a_lone_node_calls_itself, a_handler_learns_that_its_caller_gave_up, calls_in_flight_end_on_both_sides];
    /// Turns bits of each answer over.
    CorruptsReplies [a_lone_node_calls_itself, a_late_reply_reaches_no_later_call, a_slow_server_delays_only_the_calls_to_itself];
    /// A call waits until the one before has ended.
    OneCallAtATime [a_slow_server_delays_only_the_calls_to_itself, calls_end_when_their_server_crashes, calls_run_concurrently];
    /// A call that is given up goes on.
    NoCancel [a_handler_learns_that_its_caller_gave_up, a_server_does_not_start_on_a_request_that_was_given_up, casts_and_calls_are_delivered_in_the_order_sent];
    /// A call that has timed out goes on.
    KeepsTrying [a_handler_learns_that_its_caller_gave_up, a_server_does_not_start_on_an_expired_request, a_server_does_not_start_on_a_request_that_was_given_up];
    /// Gives the answer of a call that timed out to the next one.
    LateReplyToNextCall [a_handler_learns_that_its_caller_gave_up, a_late_reply_reaches_no_later_call, a_slow_server_delays_only_the_calls_to_itself];
    /// Calls a node again when it comes back.
    CallAgainInNewSession [a_node_that_crashes_ends_the_calls_to_it, a_reset_link_ends_its_calls_and_moves_none, a_call_waiting_in_a_mailbox_does_not_run_after_its_session];
    /// Calls nodes that came after the call.
    ResolvesTargetsLate [the_targets_are_fixed_at_the_call, every_target_has_exactly_one_outcome];
    /// Names another incarnation in the results of calls.
    ReplyFromWrongNode [a_lone_node_calls_itself, a_passed_deadline_is_told_from_a_node_that_is_down, no_such_server_is_known_at_once];
    /// Returns the results of calls in the wrong order.
    ResultsUnsorted [a_call_to_all_includes_the_local_node, every_target_has_exactly_one_outcome];
    /// Reports a passed deadline as a node that went down.
    DeadlineAsNodeDown [a_call_returns_by_its_deadline_although_the_peer_is_cut_off, a_passed_deadline_is_told_from_a_node_that_is_down, a_server_does_not_start_on_an_expired_request];
    /// Reports a node that went down as a passed deadline.
    NodeDownAsDeadline [a_node_that_crashes_ends_the_calls_to_it, a_reset_link_ends_its_calls_and_moves_none, a_call_waiting_in_a_mailbox_does_not_run_after_its_session];
    /// Says that a request was sent when it was not, and the other way round.
    WrongAboutSent [a_node_that_is_not_linked_is_known_at_once, a_call_returns_by_its_deadline_although_the_peer_is_cut_off, a_passed_deadline_is_told_from_a_node_that_is_down];
    /// Reports every failure of a call as a passed deadline.
    OneReasonForAll [a_node_that_is_not_linked_is_known_at_once, each_refusal_has_its_own_reason, a_handler_that_gives_its_caller_up_stopped];
    /// Reports a server that stopped as one that never was.
    StoppedIsNoServer [each_refusal_has_its_own_reason, a_handler_that_gives_its_caller_up_stopped, calls_end_when_their_server_crashes];
    /// Lists nodes in the wrong order.
    ListUnsorted [list_is_sorted_and_without_the_local_node, links_are_pairwise];
    /// Lists the local node as well.
    ListHasTheLocalNode [list_of_a_lone_node_is_empty, list_is_sorted_and_without_the_local_node, a_node_of_another_cluster_never_links];
    /// Does not list the last node.
    ListLags [list_is_sorted_and_without_the_local_node, whoever_has_handled_up_finds_the_node_in_list, list_forgets_a_node_that_is_down];
    /// Lists every node that was ever linked.
    ListKeepsTheDead [whoever_has_handled_up_finds_the_node_in_list];
    /// A lost node takes all others out of the list.
    OneLossTakesAll [list_forgets_a_node_that_is_down, a_partition_separates_groups, both_sides_see_the_same_outcome_of_a_medium_cut];
    /// Looks for a node that is gone for ever.
    ForgetsNobody [a_node_that_was_gone_for_long_is_forgotten];
    /// Looks for a node that is gone no longer than for a failure timeout.
    ForgetsSoon [a_node_that_was_gone_for_long_is_forgotten];
    /// A link that went down never returns.
    NoRedial [a_seed_that_forgot_is_dialled_again, unread_monitors_delay_nobody, a_leaver_is_not_dialled_but_may_return];
    /// All lives of a name look the same.
    HidesIncarnations [a_stored_incarnation_is_exceeded_although_the_clock_was_set_back, a_lone_node_casts_to_itself, a_lone_node_calls_itself];
    /// A monitor that is not read keeps every event, without an end.
    MonitorBuffers [a_slow_monitor_gets_flaps_folded];
    /// An idle link goes down, and up again.
    FlapsWhenIdle [an_idle_link_stays, a_distant_peer_is_not_lost, a_node_without_an_identity_of_its_name_never_links];
    /// Monitors go on after the shutdown.
    MonitorNeverEnds [monitors_and_inboxes_end_with_their_node];
    /// Reports a lost node many timeouts later.
    LateDowns [a_crashed_peer_is_down_within_the_failure_timeout, a_monitor_that_was_never_read_shows_the_present, a_peer_that_stands_still_is_cut_and_returns];
    /// Never reports `Down`.
    ForgetsDowns [a_seed_that_forgot_is_dialled_again, a_quick_restart_is_down_as_replaced, a_local_shutdown_says_so];
    /// A monitor shows who was linked at its start, and nothing after.
    ForgetsLiveEvents [a_monitor_from_before_sees_the_first_node_come, a_seed_that_starts_later_is_found, nodes_that_dial_each_other_at_once_get_one_link_and_no_down];
    /// A monitor that has waited for a failure timeout misses the next event.
    DozesOff [a_monitor_from_before_sees_the_first_node_come, a_leaver_is_not_dialled_but_may_return, a_crashed_peer_is_down_within_the_failure_timeout];
    /// Only the first monitor of a node gets live events.
    OnlyTheFirstMonitorLives [a_monitor_starts_with_an_up_for_each_linked_node, a_quick_restart_is_down_as_replaced, a_local_shutdown_says_so];
    /// A monitor does not show who was linked at its start.
    MonitorStartsEmpty [nodes_learn_of_each_other_from_a_common_neighbour, a_call_with_no_time_returns_at_once, a_monitor_starts_with_an_up_for_each_linked_node];
    /// A monitor begins with who is linked at the call, and misses what happens until it is read.
    MonitorBeginsAtItsFirstRead [a_monitor_that_begins_while_links_flap_misses_nothing];
    /// Reports every `Up` twice.
    UpTwice [nodes_that_dial_each_other_at_once_get_one_link_and_no_down, a_monitor_starts_with_an_up_for_each_linked_node, an_idle_link_stays];
    /// Reports every `Down` as lost.
    OneReasonForAllDowns [a_local_shutdown_says_so, a_reset_by_command_says_so_on_both_sides, disconnect_returns_once_the_down_is_in_the_monitors_view];
    /// Reports a lost node as disconnected by command.
    LostIsDisconnected [a_crashed_peer_is_down_within_the_failure_timeout, a_peer_that_stands_still_is_cut_and_returns, a_silent_peer_is_down_within_the_failure_timeout];
    /// Reports an overloaded peer as lost.
    OverloadIsLost [a_peer_that_takes_no_byte_is_cut_as_overloaded, a_caller_that_takes_no_replies_is_cut_and_the_server_lives];
    /// Does not report that a peer was cut for overload, and came back.
    OverloadIsHidden [a_peer_that_takes_no_byte_is_cut_as_overloaded, a_caller_that_takes_no_replies_is_cut_and_the_server_lives];
    /// An overloaded peer costs the links with all others.
    OverloadTakesAll [a_peer_that_takes_no_byte_is_cut_as_overloaded];
    /// Reports a peer that lost this node as lost.
    PeerLostUsIsLost [a_one_way_cut_is_lost_to_the_deaf_and_lost_us_to_the_other];
    /// Reports a life that was replaced as lost.
    ReplacedIsLost [a_quick_restart_is_down_as_replaced, a_quick_restart_elsewhere_is_down_as_replaced, a_node_that_is_raised_renews_its_other_links];
    /// Does not say how the protocol was broken.
    ProtocolWithoutWords [a_peer_that_breaks_the_protocol_is_down_with_words, a_lane_that_fails_ends_the_session_on_both_sides];
    /// Reports every goodbye as flushed.
    AlwaysFlushed [a_leaver_that_could_not_flush_says_so];
    /// `Down` names an incarnation that was never up.
    DownNamesAnother [down_names_the_incarnation_that_was_up, a_quick_restart_is_down_of_the_old_and_up_of_the_new, every_monitor_sees_every_event];
    /// Does not say that events were folded.
    FoldsSilently [a_slow_monitor_gets_flaps_folded, up_and_down_alternate_on_both_sides];
    /// Folds a `Down` and the `Up` that follows, although they are read in time.
    FoldsRestarts [a_seed_that_forgot_is_dialled_again, a_quick_restart_is_down_as_replaced, a_local_shutdown_says_so];
    /// Only one side of a link sees that a session ended.
    OneSidedDown [a_link_returns_after_a_disconnect, a_stopped_node_leaves_its_place_free, a_reset_by_command_says_so_on_both_sides];
    /// Servers serve everybody.
    IgnoresAllowList [a_server_of_nobody_serves_the_local_node_alone, a_server_serves_only_those_that_it_names];
    /// Servers that name nodes serve only the local one.
    ServesNobodyElse [a_server_serves_only_those_that_it_names];
    /// Servers get node events that they did not ask for.
    EventsToEveryServer [an_empty_body_is_a_message, every_message_carries_its_type_and_version, a_message_of_the_maximum_is_delivered_whole];
    /// Servers get no node events.
    EventsToNoServer [a_crash_says_no_goodbye, a_server_with_events_starts_with_an_up_for_each_linked_node, what_is_sent_before_the_others_up_waits_for_it];
    /// A server that is registered again gets nothing.
    SecondLifeIsDeaf [one_server_of_a_name, a_server_sees_no_gap_from_its_registration_on, the_mailbox_of_a_crashed_server_is_dropped_and_counted];
    /// A second server of a name is accepted, and gets nothing.
    AcceptsSecondServer [one_server_of_a_name];
    /// Delivers the last messages again after `Down`.
    DeliversAfterDown [a_crash_of_the_sender_leaves_a_prefix, a_leaver_flushes_what_it_has_sent, messages_lie_between_up_and_down_of_their_session];
    /// Delivers the first messages before `Up`.
    DeliversBeforeUp [a_crash_says_no_goodbye, a_server_with_events_starts_with_an_up_for_each_linked_node, what_is_sent_before_the_others_up_waits_for_it];
    /// Servers start on requests whose callers have given up.
    StartsExpiredCalls [a_handler_learns_that_its_caller_gave_up, a_server_does_not_start_on_an_expired_request, a_server_does_not_start_on_a_request_that_was_given_up];
    /// Servers get another incarnation as the sender.
    WrongSender [a_lone_node_casts_to_itself, what_is_sent_before_the_others_up_waits_for_it, a_handler_gets_the_authenticated_sender];
    /// A message that does not decode resets the link.
    UndecodableKillsLink [a_cast_that_does_not_decode_is_counted_and_the_link_stays, a_call_that_does_not_decode_is_answered_so];
    /// A server that crashes takes all servers of its node along.
    CrashTakesAll [a_crashed_server_takes_nobody_along, one_server_of_a_name, a_server_sees_no_gap_from_its_registration_on];
    /// Inboxes go on after the shutdown.
    InboxNeverEnds [monitors_and_inboxes_end_with_their_node, a_server_that_takes_nothing_is_stopped_by_its_own_node];
    /// Calls to a server that crashed are not answered.
    LeavesCallsUnanswered [a_handler_that_gives_its_caller_up_stopped, calls_end_when_their_server_crashes];
    /// Every failure of a handler becomes "stopped".
    LosesHandlersFailure [each_refusal_has_its_own_reason, a_call_that_does_not_decode_is_answered_so];
    /// Servers get `Down` without `Up`.
    NoFirstUps [a_crash_says_no_goodbye, a_server_with_events_starts_with_an_up_for_each_linked_node, what_is_sent_before_the_others_up_waits_for_it];
    /// Servers are stopped long before the stall timeout.
    StopsSlowServers [a_sender_waits_for_room_and_loses_nothing];
    /// Mailboxes without an end.
    UnboundedMailbox [monitors_and_inboxes_end_with_their_node, an_abcast_that_is_given_up_goes_to_all_or_to_nobody, refuse_sends_to_nobody_when_one_is_full];
    /// What lay unhandled at `Down` is delivered after it.
    IgnoresSessionEnd [monitors_and_inboxes_end_with_their_node, an_abcast_that_is_given_up_goes_to_all_or_to_nobody, refuse_sends_to_nobody_when_one_is_full];
    /// The mailbox of a crashed server goes to its successor.
    MailboxToSuccessor [monitors_and_inboxes_end_with_their_node, an_abcast_that_is_given_up_goes_to_all_or_to_nobody];
    /// `disconnect` does nothing.
    DisconnectDoesNothing [a_server_with_events_starts_with_an_up_for_each_linked_node, down_names_the_incarnation_that_was_up, unread_monitors_delay_nobody];
    /// `disconnect` returns before the `Down`.
    DisconnectDoesNotWait [disconnect_returns_once_the_down_is_in_the_monitors_view];
    /// `disconnect` forgets the node.
    DisconnectForgets [a_server_with_events_starts_with_an_up_for_each_linked_node, an_address_on_either_side_suffices, a_reset_by_command_says_so_on_both_sides];
    /// `forget` only resets the link.
    ForgetIsDisconnect [a_forgotten_node_is_not_dialled];
    /// A shutdown drops what is queued, and says that it was flushed.
    ShutdownDropsQueues [a_shutdown_ends_by_its_deadline_although_a_peer_is_cut_off, a_leaver_is_told_from_a_lost_one, a_leaver_flushes_what_it_has_sent];
    /// A shutdown leaves a task behind.
    ShutdownLeavesATask [a_stopped_node_leaves_no_task];
    /// A shutdown takes much longer than its deadline.
    ShutdownOverruns [a_second_shutdown_waits_for_the_first, calls_in_flight_end_on_both_sides, a_local_shutdown_says_so];
    /// A shutdown says that everything was flushed, always.
    ShutdownSaysFlushed [a_shutdown_ends_by_its_deadline_although_a_peer_is_cut_off, a_leaver_that_could_not_flush_says_so];
    /// The second shutdown tells of another end than the first.
    SecondShutdownDiffers [a_second_shutdown_waits_for_the_first, a_leaver_flushes_what_it_has_sent];
    /// Says that it was replaced when it was not.
    StopsWithoutCause [a_lesser_second_process_stops_if_the_greater_is_alive, a_second_shutdown_waits_for_the_first, a_restart_is_not_taken_for_a_second_process];
    /// Does not say why it stopped.
    StopsWithoutReason [a_lesser_second_process_stops_if_the_greater_is_alive, a_second_shutdown_waits_for_the_first, of_two_processes_of_a_name_the_greater_wins];
    /// All counters stay at 0.
    CountsNothing [a_cast_that_does_not_decode_is_counted_and_the_link_stays, a_cast_to_no_server_is_counted_and_the_link_stays, the_mailbox_of_a_crashed_server_is_dropped_and_counted];
    /// Replaces bounds that are out of range.
    AcceptsBadBounds [bounds_that_multiply_to_too_much_are_refused_at_start, a_bad_bound_is_refused_by_name_and_nothing_is_half_started, a_reply_over_the_limit_names_both_sizes];
    /// Messages that are large have no bound together.
    LargeWithoutBound [large_messages_share_one_budget, large_answers_share_one_budget];
    /// Answers that wait for others have no bound.
    RepliesWithoutBound [an_answer_beyond_the_bound_of_all_fails_alone];
    /// A link is up before the peer has answered.
    UpWithoutAnAnswer [a_peer_that_does_not_answer_is_never_up];
    /// Takes a peer for whom it says that it is.
    BelievesNames [a_peer_that_says_another_name_than_it_proves_never_links];
    /// Errors at start do not say what is to be done.
    ErrorsWithoutRemedy [a_bad_bound_is_refused_by_name_and_nothing_is_half_started, a_place_that_is_taken_is_refused_and_stays_with_its_owner];
    /// Links with nodes of other clusters.
    IgnoresCluster [a_node_of_another_cluster_never_links];
    /// Does not ask for a proof of the name.
    IgnoresIdentity [a_node_without_an_identity_of_its_name_never_links];
    /// Dials no seed.
    DialsNobody [a_monitor_from_before_sees_the_first_node_come, a_seed_that_starts_later_is_found, nodes_that_dial_each_other_at_once_get_one_link_and_no_down];
    /// Does not dial seeds that were not there at the start.
    DropsDeadSeeds [a_seed_that_starts_later_is_found, a_bad_bound_is_refused_by_name_and_nothing_is_half_started];
    /// Dials neither last known addresses nor those that a neighbour told.
    DialsOnlySeeds [nodes_learn_of_each_other_from_a_common_neighbour, a_leaver_is_not_dialled_but_may_return, an_address_on_either_side_suffices];
    /// A place leads to the name that was found there first, and to no other.
    SeedsAreNames [a_seed_leads_to_whoever_lives_there_now];
    /// A link needs a working address on both sides.
    NeedsBothToDial [the_greater_name_alone_can_dial, the_smaller_name_alone_can_dial, an_address_on_either_side_suffices];
    /// A second node at a place gets the first one's transport.
    AcceptsATakenPlace [a_place_that_is_taken_is_refused_and_stays_with_its_owner];
    /// A node that was stopped keeps its place.
    KeepsThePlace [a_leaver_is_not_dialled_but_may_return, a_stopped_node_leaves_its_place_free, a_restart_after_a_goodbye_is_greater];
    /// A crash says goodbye.
    CrashSaysGoodbye [a_crash_says_no_goodbye, a_quick_restart_is_down_as_replaced, a_crashed_peer_is_down_within_the_failure_timeout];
    /// Cuts and partitions do nothing.
    CutDoesNothing [a_call_returns_by_its_deadline_although_the_peer_is_cut_off, a_cut_is_silent, a_shutdown_ends_by_its_deadline_although_a_peer_is_cut_off];
    /// A cut ends the link at once.
    CutIsLoud [calls_survive_a_short_cut, a_call_returns_by_its_deadline_although_the_peer_is_cut_off, a_cut_is_silent];
    /// A cut cuts off from all.
    CutsAll [a_cut_concerns_two_nodes_alone, links_are_pairwise];
    /// A one-way cut cuts both ways.
    CutOneWayCutsBoth [a_one_way_cut_leaves_the_other_way_open];
    /// A heal does nothing.
    HealDoesNothing [calls_survive_a_short_cut, all_links_return_after_a_long_partition, a_link_returns_after_a_heal_without_traffic];
    /// A delay does nothing.
    DelayDoesNothing [a_delay_delays_and_breaks_nothing, a_deadline_travels_over_a_slow_way];
    /// A delay cuts.
    DelayCuts [a_distant_peer_is_not_lost, a_delay_delays_and_breaks_nothing, what_is_sent_before_the_others_up_waits_for_it];
    /// A stall never ends.
    ResumeDoesNothing [a_short_stall_of_a_node_is_no_failure, a_peer_that_stands_still_is_cut_and_returns];
    /// A suspension does nothing.
    SuspendDoesNothing [a_pause_of_the_own_process_is_nobodys_silence];
    /// A node takes its own pause for the silence of its peers.
    OwnPauseIsSilence [a_pause_of_the_own_process_is_nobodys_silence];
    /// Frozen lanes bring bytes.
    FreezeDoesNothing [a_peer_that_takes_no_byte_is_cut_as_overloaded, a_peer_that_takes_bytes_again_in_time_is_not_cut];
    /// Lanes stay frozen.
    ThawDoesNothing [a_peer_that_takes_no_byte_is_cut_as_overloaded, a_peer_that_takes_bytes_again_in_time_is_not_cut];
    /// A node whose lanes are frozen falls silent.
    FreezeStallsTheNode [a_peer_that_takes_no_byte_is_cut_as_overloaded, a_peer_that_takes_bytes_again_in_time_is_not_cut];
    /// A lane that was to fail does not.
    BreakLaneDoesNothing [a_lane_that_fails_ends_the_session_on_both_sides];
    /// Does not say why it closes the connection of a peer that breaks the protocol.
    BlamesNobody [a_peer_that_breaks_the_protocol_is_down_with_words];
    /// Refuses a version without saying which one it speaks.
    RefusalNamesOneVersion [major_versions_refuse_each_other_and_name_both, minor_versions_that_do_not_meet_refuse_each_other_and_name_both];
    /// Talks to every version.
    AcceptsAnyVersion [major_versions_refuse_each_other_and_name_both];
    /// Talks to no version, and does not say why.
    RefusesEveryVersion [minor_versions_talk, major_versions_refuse_each_other_and_name_both];
}
