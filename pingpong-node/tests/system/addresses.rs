//! Nodes that move (M7).

use crate::lab::{Lab, address};
use crate::node::linked;

/// One neighbour that it reaches is enough; the others hear of its new address there.
#[tokio::test]
async fn a_node_that_moves_is_found_by_all_through_one_neighbour() {
    let lab = Lab::new();
    let one = lab.plan("n1");
    let two = lab.plan("n2").seeded_by(one.listen);
    let mut plan = lab.plan("n3").seeded_by(one.listen);
    let (one, two, three) = (one.start().await, two.start().await, plan.start().await);
    let [mut at_one, mut at_two, _] = linked(&[&one, &two, &three]).await.try_into().ok().unwrap();
    let from = plan.listen.to_string();
    assert_eq!(two.link("n3").await.address, from);
    three.killed().await;
    for watch in [&mut at_one, &mut at_two] {
        assert_eq!(watch.down("n3").await.1, "lost");
    }
    plan.listen = address();
    let moved = plan.start().await;
    for watch in [&mut at_one, &mut at_two] {
        watch.up("n3").await;
    }
    linked(&[&one, &two, &moved]).await;
    for node in [&one, &two] {
        assert_eq!(node.link("n3").await.address, plan.listen.to_string());
    }
    moved.ping(6).await;
    two.all_count(&["n1", "n2", "n3"], &[("n1", 0), ("n2", 0), ("n3", 6)]).await;
}
