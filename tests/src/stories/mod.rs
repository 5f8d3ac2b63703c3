//! Stories: the ping exercise on a transport, told from its first ping to the right counts at the end.
//!
//! A case checks one promise of the contract; a story checks that the promises are enough for an application. It runs the
//! producer and the consumer of [`pingpong_core::exercise`] on every node, and looks at nothing but the counts.
//!
//! ```text
//! pingpong_conformance::exercise_stories!(MyHarness::new);
//! ```

mod crowd;
mod faults;
mod player;
mod problems;

use crate::capability::Capability;
use crate::run::Case;

/// Hands the list of stories to a macro of this crate: the rule of the counting protocol, chapter and name of each, and what
/// it needs of a harness.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_story {
    ($callback:ident($($extra:tt)*)) => { $crate::$callback! { ($($extra)*)
        "P9" => problems::pings_reach_every_consumer [];
        "P13" => problems::a_consumer_that_crashes_counts_on [];
        "P16" => problems::both_sides_of_a_partition_catch_up [Cut];
        "P15" => problems::a_node_that_joins_learns_what_was_before [];
        "P13" => faults::a_consumer_that_loses_its_store_in_a_partition_gets_everything_back [Cut, Crash];
        "P16" => faults::a_consumer_that_crashes_in_a_partition_catches_up [Cut];
        "P16" => faults::the_counts_of_a_producer_that_is_gone_for_good_survive_with_the_others [Cut, Crash];
        "P16" => faults::counts_cross_a_bridge [Cut];
        "P16" => faults::ten_partitions_in_a_row_with_traffic_lose_nothing [Cut];
        "P15" => crowd::fifty_nodes_join_at_once [];
    }};
}

/// Makes the table from the list.
#[doc(hidden)]
#[macro_export]
macro_rules! __story_table {
    (() $($rule:literal => $module:ident::$name:ident [$($need:ident),*];)*) => {
        &[$(Case {
            name: stringify!($name),
            module: stringify!($module),
            promise: $rule,
            needs: &[$(Capability::$need),*],
            run: |cluster| Box::pin($module::$name(cluster)),
        }),*]
    };
}

/// Expands to one named test for each story. `factory` is as that of [`conformance_suite!`](crate::conformance_suite).
#[macro_export]
macro_rules! exercise_stories {
    ($factory:expr) => {
        $crate::for_each_story!(__case_tests($factory));
    };
}

/// Every story.
pub static STORIES: &[Case] = for_each_story!(__story_table());
