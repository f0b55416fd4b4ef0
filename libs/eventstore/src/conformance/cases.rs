/// Runs the conformance suite: one test per case, each on a fresh harness made by the given expression.
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::conformance!(@cases $harness, append:
            positions_and_revisions_count_without_gaps,
            what_was_appended_is_read_back_exactly,
            an_expectation_that_does_not_hold_changes_nothing,
            an_append_is_refused_when_another_event_came_before_it,
            an_append_to_several_streams_is_all_or_nothing,
            an_empty_write_asserts_without_appending,
            what_could_never_succeed_is_refused_at_once,
            an_append_that_nobody_waits_for_happens_all_the_same,
            appends_of_one_caller_keep_their_order,
            a_refused_append_does_not_disturb_its_neighbours,
            times_never_run_backwards,
        );
        $crate::conformance!(@cases $harness, repeat:
            a_batch_sent_twice_is_stored_once,
            a_repeat_over_several_streams_answers_as_the_first_time,
            a_batch_that_is_partly_known_is_refused,
            the_same_id_in_another_stream_is_another_event,
            a_repeat_that_races_its_original_is_stored_once,
        );
        $crate::conformance!(@cases $harness, read:
            a_stream_is_read_both_ways_within_bounds,
            a_stream_never_written_to_is_empty,
            the_log_is_read_both_ways_within_bounds,
            the_log_is_filtered_by_category_and_type,
            ten_thousand_events_are_paged_without_gap_or_repeat,
            the_newest_snapshot_is_kept,
        );
        $crate::conformance!(@cases $harness, subscribe:
            a_subscription_passes_from_history_to_live_without_gap_or_repeat,
            slow_writers_and_their_subscribers_skip_no_position,
            whoever_sees_a_position_can_read_all_before_it,
        );
        $crate::conformance!(@cases $harness, retention:
            only_the_newest_events_of_a_counted_stream_are_read,
            events_older_than_their_streams_age_are_not_read,
            a_stream_whose_events_all_expired_goes_on_counting,
        );
        $crate::conformance!(@cases $harness, pressure:
            an_append_refused_for_want_of_room_leaves_nothing_and_succeeds_later,
        );
        $crate::conformance!(@cases $harness, reopen:
            everything_is_there_after_reopening,
            a_batch_sent_again_after_reopening_is_stored_once,
            retention_survives_reopening_and_snapshots_may,
        );
    };
    (@cases $harness:expr, $module:ident: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$module::$case(&$harness).await;
            }
        )+
    };
}
