//! CUBIC with a floor of ten packets: what every new connection may send at once (RFC 9002, section 7.2).
//!
//! After a cut of the network a congestion window stands at two packets, and what was lost fills it until a probe gets through,
//! which may be as long after the heal as the cut was. Heartbeats wait behind it, and a link that has healed would be given up.
//! The other choice of the Mesh, a new connection, may send ten packets at once; so may this one.

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

/// Packets of the largest size that the path takes.
const FLOOR: u64 = 10;

/// Makes [`Floored`] controllers.
#[derive(Debug, Default)]
pub(crate) struct FlooredCubic(Arc<CubicConfig>);

impl ControllerFactory for FlooredCubic {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::clone(&self.0).build(now, current_mtu);
        Box::new(Floored { cubic, floor: FLOOR * u64::from(current_mtu) })
    }
}

struct Floored {
    cubic: Box<dyn Controller>,
    floor: u64,
}

impl Controller for Floored {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_packet_num_acked: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.floor = FLOOR * u64::from(new_mtu);
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.floor)
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box(), floor: self.floor })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_window_never_falls_below_ten_packets() {
        let now = Instant::now();
        let mut controller = Arc::new(FlooredCubic::default()).build(now, 1_200);
        for mtu in [1_200_u16, 6_500, 1_200] {
            controller.on_mtu_update(mtu);
            for after in 1..20 {
                let later = now + Duration::from_secs(after);
                controller.on_congestion_event(later, later, true, 1_000_000);
            }
            assert_eq!(controller.window(), 10 * u64::from(mtu));
        }
    }

    #[test]
    fn a_clone_has_what_was_learnt() {
        let now = Instant::now();
        let mut controller = Floored { cubic: Arc::new(CubicConfig::default()).build(now, 1_200), floor: 0 };
        let begun = controller.window();
        controller.on_congestion_event(now, now, false, 1_000);
        assert!(controller.window() < begun, "{} after {begun}", controller.window());
        assert_eq!(controller.clone_box().window(), controller.window());
    }
}
