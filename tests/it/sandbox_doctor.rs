//! `devdb doctor` on the whole chain, whole and broken.

use crate::support::laptop::Laptop;
use crate::support::pulse::finish;
use serde_json::Value;

fn look(laptop: &Laptop, code: i32) -> Vec<(String, String)> {
    let report: Value = laptop.devdb("doctor --json").expect_code(code).json();
    let word = |link: &Value, key: &str| link[key].as_str().unwrap().to_owned();
    report["links"].as_array().unwrap().iter().map(|link| (word(link, "link"), word(link, "verdict"))).collect()
}

fn verdicts(found: &[(String, String)], verdict: &str) -> Vec<String> {
    found.iter().filter(|(_, given)| given == verdict).map(|(link, _)| link.clone()).collect()
}

#[test]
fn a_chain_that_is_whole_is_called_so_and_a_broken_link_is_found() {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    let found = look(&laptop, 0);
    assert_eq!((found.len(), verdicts(&found, "warn")), (10, vec!["migrations".to_owned()]), "{found:?}");
    laptop.devdb("migrate to latest").expect_code(0);
    assert_eq!(verdicts(&look(&laptop, 0), "ok").len(), 10);

    // It only looks: the address that is shut out stays so, although the credentials would do to let it in.
    laptop.devdb("tunnel down").expect_code(0);
    laptop.fault("change-address");
    assert_eq!(verdicts(&look(&laptop, 3), "fail"), ["way in", "tunnel"]);
    assert_eq!(verdicts(&look(&laptop, 3), "unknown"), ["database", "migrations"]);
    laptop.fault("clear");

    let expired = laptop.devdb_with(&[("AWS_ACCESS_KEY_ID", "ASIAEXPIRED0")], "doctor").expect_code(3);
    assert!(expired.stdout.contains("fail  aws"), "{}", expired.stdout);

    laptop.devdb("tunnel up").expect_code(0);
    laptop.devdb("migrate to none --yes").expect_code(0);
    finish(&laptop);
}
