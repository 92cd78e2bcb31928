//! Codes, and a store that does not say what it did.

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_code_whose_intent_was_stored_is_presented_though_the_store_did_not_say_so() {
    let world = World::new(1, 1).await;
    let code = world.platform.issue_code("c2");
    let arrived = world.platform.arrived("mini");
    *world.store.loses_answer_of.lock().unwrap() = Some("present_code");
    assert_eq!(
        world.exchange(0, "mini", &code).await.map(|customer| customer.as_str().to_owned()),
        Ok("c2".to_owned())
    );
    assert_eq!(*world.store.loses_answer_of.lock().unwrap(), None, "it was lost");
    assert_eq!(world.platform.arrived("mini"), arrived + 1);
}
