//! One driver that changes what is linked, and monitors that follow.

use super::*;
use crate::mesh::view::View;
use crate::monitor::DownReason;

#[test]
fn a_monitor_alternates_ends_with_the_last_state_and_is_never_left_asleep() {
    explore(|| {
        let view = View::new(8);
        let monitor = {
            let mut events = view.monitor();
            thread::spawn(move || {
                block_on(async {
                    let (mut up, mut folded) = (false, 0);
                    while let Some(event) = events.next().await {
                        assert_ne!(event.is_up(), up, "alternates (M3)");
                        up = event.is_up();
                        folded += event.skipped + 1;
                    }
                    (up, folded)
                })
            })
        };
        let late = Arc::clone(&view);
        let late = thread::spawn(move || {
            block_on(async {
                let mut events = late.monitor();
                let mut up = false;
                while let Some(event) = events.next().await {
                    assert_ne!(event.is_up(), up, "alternates (M3)");
                    up = event.is_up();
                }
                up
            })
        });
        let a = node("a");
        view.up(&a);
        view.down(&a.name, DownReason::Lost);
        view.up(&a);
        // What is said in between is tokio's, so nobody else would run.
        thread::yield_now();
        view.stop();
        assert_eq!(monitor.join().unwrap(), (true, 3), "all that happened, shown or counted (M8)");
        assert!(late.join().unwrap(), "the last state (M2)");
        assert_eq!(view.list(), [a]);
    });
}
