//! A supervisor takes the place of another one.

use crate::support::database::is_served;
use crate::support::world::World;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn no_connection_is_refused_or_lost_while_the_supervisor_is_replaced() {
    let world = World::new();
    world.done("up");
    let served = world.served_while(|| {
        let mut before = world.supervisors();
        for hold in [10_000, 15_000, 20_000] {
            world.change_spec(|spec| spec["hold_ms"] = hold.into());
            assert_eq!(world.done("up")["state"], "up");
            let after = world.supervisors();
            assert!(after.len() == 1 && after != before, "{after:?} {before:?}");
            before = after;
        }
    });
    assert!(served > 20, "{served}");
    assert_eq!(world.log().matches("the ports stayed open").count(), 3, "{}", world.log());
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_successor_that_needs_a_busy_port_leaves_the_present_tunnel_as_it_is() {
    let world = World::new();
    world.done("up");
    let (supervisors, masters) = (world.supervisors(), world.masters());
    let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    world.change_spec(|spec| {
        let mut reader = spec["targets"][0].clone();
        (reader["name"], reader["local_port"]) = ("reader".into(), owner.local_addr().unwrap().port().into());
        spec["targets"].as_array_mut().unwrap().push(reader);
    });
    let (code, said) = world.refused("up");
    assert!(code == 1 && said.contains("is in use on 127.0.0.1"), "{said}");
    assert_eq!((world.supervisors(), world.masters()), (supervisors, masters));
    is_served(world.address(), LIMIT).unwrap();
    drop(owner);
    let report = world.done("up");
    assert_eq!(report["targets"].as_array().unwrap().len(), 2);
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_supervisor_that_does_not_answer_is_replaced() {
    let world = World::new();
    world.done("up");
    let old = world.supervisors()[0];
    world.signal(old, "-STOP");
    world.done("up");
    assert_ne!(world.supervisors(), [old]);
    assert_eq!(world.supervisors().len(), 1);
    is_served(world.address(), LIMIT).unwrap();
    world.done("down");
    world.assert_nothing_is_left();
}
