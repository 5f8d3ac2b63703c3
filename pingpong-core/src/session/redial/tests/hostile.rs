//! Whatever the shell and its peers do, in any order: no busy loop, and every bound holds.

use super::*;
use proptest::prelude::*;

/// One call of the shell, or of a hostile peer through it.
#[derive(Clone, Debug)]
enum Call {
    Wait(u64),
    Answer(usize, u8),
    Up(usize),
    Down(usize, bool),
    Told(usize, usize, u8),
    Gone(usize, usize),
    Closed(usize, u8),
    Handshake(usize, bool),
    Forget(usize),
    Renewed,
}

fn call() -> impl Strategy<Value = Call> {
    let who = || 0..6_usize;
    prop_oneof![
        4 => (0..4_000_u64).prop_map(Call::Wait),
        4 => (any::<prop::sample::Index>(), 0..5_u8).prop_map(|(of, how)| Call::Answer(of.index(40), how)),
        2 => who().prop_map(Call::Up),
        2 => (who(), any::<bool>()).prop_map(|(of, wanted)| Call::Down(of, wanted)),
        2 => (who(), who(), 0..12_u8).prop_map(|(by, of, many)| Call::Told(by, of, many)),
        1 => (who(), who()).prop_map(|(by, of)| Call::Gone(by, of)),
        2 => (who(), 0..4_u8).prop_map(|(of, why)| Call::Closed(of, why)),
        2 => (who(), any::<bool>()).prop_map(|(of, begins)| Call::Handshake(of, begins)),
        1 => who().prop_map(Call::Forget),
        1 => Just(Call::Renewed),
    ]
}

fn apply(redial: &mut Redial, call: &Call, now: Duration) {
    let who = |of: &usize| name(["me", "b", "c", "d", "e", "f"][*of]);
    match call {
        Call::Wait(_) => {}
        Call::Answer(of, how) => {
            let Some(id) = redial.under_way.keys().nth(*of % redial.under_way.len().max(1)).copied() else { return };
            let by = who(&(*of % 6));
            let outcomes = [Outcome::Connected(by), Outcome::Failed, Outcome::Refused, Outcome::Itself];
            redial.answered(id, outcomes[usize::from(*how) % 4].clone(), now);
        }
        Call::Up(of) => redial.up(&who(of), &[at("x:1"), at(who(of).as_str())], now),
        Call::Down(of, wanted) => redial.down(&who(of), *wanted, now),
        Call::Told(by, of, many) => {
            let addresses: Vec<_> = (0..*many).map(|n| format!("{}:{n}", who(of))).collect();
            let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
            redial.told(&who(by), &told(who(of).as_str(), &addresses), now);
        }
        Call::Gone(by, of) => redial.told(&who(by), &gone(who(of).as_str()), now),
        Call::Closed(of, why) => {
            let reasons = [CloseReason::Full, CloseReason::Surplus, CloseReason::Leaving, CloseReason::Lost];
            redial.closed(&who(of), &reasons[usize::from(*why)], now);
        }
        Call::Handshake(of, true) => redial.handshake_began(&who(of), now),
        Call::Handshake(of, false) => redial.handshake_ended(&who(of)),
        Call::Forget(of) => redial.forget(&who(of), now),
        Call::Renewed => redial.renewed(now),
    }
}

proptest! {
    #[test]
    fn next_due_is_never_late_and_all_bounds_hold(
        calls in prop::collection::vec((call(), any::<u64>()), 0..120),
        jitter in 0..6_u32,
        crowd in 1..40_usize,
    ) {
        let settings = RedialSettings {
            jitter,
            max_peers: 5,
            forget_after: 20 * S,
            // Short, so that there are spacings of all lengths; and long, so that dead ones are dialled seldom.
            patience: 2 * S,
            spacing_per_dead_peer: 400 * MS,
            attempts_in_all: crowd,
            ..RedialSettings::default()
        };
        let mut redial = Redial::new(name("me"), vec![at("x:1"), at("s")], settings.clone());
        let mut now = Duration::ZERO;
        for (call, random) in calls {
            apply(&mut redial, &call, now);
            if let Some(first) = redial.first_due(redial.traffic()) {
                let next = redial.next_due();
                prop_assert!(next.is_some_and(|next| next <= first.max(now)), "{next:?}, and {first:?} something is due");
            }
            let until = if let Call::Wait(ms) = call { now + MS * u32::try_from(ms).unwrap() } else { now };
            while let Some(due) = redial.next_due().filter(|due| *due <= until) {
                now = now.max(due);
                let before = redial.clone();
                let Due { start, abandon, .. } = redial.due(now, random);
                prop_assert!(redial.next_due().is_none_or(|next| next > now), "due again at once, after {before:?}");
                for attempt in &start {
                    let linked = match &attempt.target {
                        Target::Name(name) => redial.is_linked(name),
                        Target::Seed(seed) => redial.seeds[seed].leads_to.as_ref().is_some_and(|n| redial.is_linked(n)),
                    };
                    prop_assert!(!linked && !abandon.contains(&attempt.id));
                }
            }
            now = until;
            // Of a clone: a look here would find what the calls before have forgotten to say.
            prop_assert!(redial.clone().due(now, random).start.is_empty(), "due before next_due said so");
            let mut counted = BTreeMap::<_, usize>::new();
            for attempt in redial.under_way.values() {
                *counted.entry(attempt.counted_for.clone()).or_default() += 1;
            }
            prop_assert!(counted.values().all(|many| *many <= settings.attempts_under_way));
            prop_assert!(redial.names.len() <= settings.max_peers);
            prop_assert!(redial.names.keys().all(|name| redial.addresses(name).len() <= 2 + 1 + 2 * MAX_ADDRESSES));
            prop_assert!(redial.names.values().all(|wanted| !wanted.is_idle()));
        }
    }
}
