use proptest::prelude::*;

use super::*;

/// What passed: the second, the shard, and how much.
type Addition = (u64, u32, Flow);

/// The rate over whole seconds, from a list of all that ever passed.
fn naive(additions: &[Addition], seconds: std::ops::Range<u64>, born: u64, is_meant: impl Fn(u32) -> bool) -> Rate {
    let meant = additions.iter().filter(|(second, shard, _)| seconds.contains(second) && is_meant(*shard));
    let length = (seconds.end - seconds.start.max(born)).max(1);
    let mut passed = Flow::default();
    meant.for_each(|(_, _, flow)| passed.add(*flow));
    Window { from: Moment::Now, until: Moment::Now, seconds: length }.rate(passed)
}

fn additions() -> impl Strategy<Value = Vec<(u64, u32, Flow)>> {
    let flow = (0_u64..100, 0_u64..10_000, 0_u64..3).prop_map(|(records, bytes, throttled)| Flow {
        records,
        bytes,
        throttled,
    });
    // Steps of seconds: mostly within one, sometimes over a gap that is longer than all that is kept.
    let step = prop_oneof![6 => Just(0_u64), 4 => 1_u64..4, 1 => 4_u64..200];
    proptest::collection::vec((step, 0_u32..20, flow), 0..200)
}

proptest! {
    #[test]
    fn rates_are_those_of_a_list_of_all_that_ever_passed(born in 0_u64..500, steps in additions(), wait in 0_u64..80) {
        let mut flows = Flows::new(born);
        let (mut second, mut passed) = (born, Vec::new());
        for (step, shard, flow) in steps {
            second += step;
            flows.tick(second);
            flows.add(shard, flow);
            passed.push((second, shard, flow));
        }
        let now = second + wait;
        let minute = now.saturating_sub(60) / 10 * 10;
        let expected = |is_meant: &dyn Fn(u32) -> bool| {
            let mut total = Flow::default();
            passed.iter().filter(|(_, shard, _)| is_meant(*shard)).for_each(|(_, _, flow)| total.add(*flow));
            Passed {
                total,
                second: naive(&passed, now.saturating_sub(1)..now, born, is_meant),
                ten_seconds: naive(&passed, now.saturating_sub(10)..now, born, is_meant),
                minute: naive(&passed, minute..now, born, is_meant),
            }
        };
        prop_assert_eq!(flows.whole(now), expected(&|_| true));
        let of_shards = flows.shards(now, 0..24);
        for (shard, of_shard) in (0_u32..).zip(of_shards) {
            prop_assert_eq!(of_shard, expected(&|other| other == shard), "shard {}", shard);
        }
    }
}

#[test]
fn a_shard_that_is_forgotten_stays_in_the_totals_of_its_stream() {
    let mut flows = Flows::new(0);
    flows.add(3, Flow::of(1, 10));
    flows.add(30, Flow::of(2, 20));
    flows.forget(|shard| shard >= 8);
    assert_eq!(flows.whole(0).total, Flow::of(3, 30));
    assert_eq!(flows.shards(0, [3, 30]).map_totals(), [Flow::default(), Flow::of(2, 20)]);
}

trait Totals {
    fn map_totals(self) -> Vec<Flow>;
}

impl Totals for Vec<Passed> {
    fn map_totals(self) -> Vec<Flow> {
        self.into_iter().map(|passed| passed.total).collect()
    }
}

#[test]
fn a_shard_costs_no_more_memory_than_the_documentation_says() {
    assert_eq!(size_of::<Block<{ BLOCK_SHARDS as usize }>>(), BLOCK_SHARDS as usize * 504);
}

#[test]
fn the_number_of_a_shard_is_no_measure_of_memory() {
    let mut flows = Flows::new(0);
    flows.add(u32::MAX, Flow::of(1, 10));
    assert_eq!(flows.shards(0, [u32::MAX, 0]).map_totals(), [Flow::of(1, 10), Flow::default()]);
    assert_eq!(flows.shards.len(), 1);
    flows.forget(|shard| shard == u32::MAX);
    assert_eq!(flows.shards.len(), 1, "the last block of all ends where the numbers do");
}
