//! The runbook, point by point: every fact is read back through the API by somebody who is not devdb.

use crate::support::laptop::Laptop;
use serde_json::{Value, json};

/// What stands whichever way the database lets it in.
fn follows_the_runbook(facts: &Value, public_key: &str) {
    assert_eq!(facts["type"], "t2.micro", "{facts:#}");
    assert_eq!(facts["name"], "ada-db-bastion");
    assert_eq!(facts["vpc"], facts["database_vpc"], "the stack's VPC");
    assert_eq!(facts["subnet_name"], "Ingress");
    assert_eq!(facts["subnet_zone"], facts["writer_zone"]);
    assert!(facts["public_ip"].is_string());
    assert_eq!((&facts["key_name"], &facts["group"]), (&json!("devdb-shop-dev-ada"), &json!("devdb-shop-dev-ada")));
    let blob = |key: &str| key.split_whitespace().nth(1).map(str::to_owned);
    assert_eq!(blob(facts["public_key"].as_str().unwrap()), blob(public_key), "a key of this computer's own");
    assert_eq!((&facts["tokens"], &facts["encrypted"]), (&json!("required"), &json!(true)));
    assert_eq!(facts["shutdown"], "terminate");
    let rule = |egress: bool, port: u16, source: &str| json!({"egress": egress, "protocol": "tcp", "ports": [port, port], "source": source, "is_devdbs": true});
    let mut rules = facts["group_rules"].as_array().unwrap().clone();
    rules.sort_by_key(|rule| rule["source"].as_str().map(str::to_owned));
    let wanted =
        [rule(true, 5432, "10.0.4.0/24"), rule(true, 5432, "10.0.5.0/24"), rule(false, 22, "198.51.100.10/32")];
    assert_eq!(rules, wanted, "22 from the caller alone, and no way out but to the database");
}

#[test]
fn each_point_of_the_runbook_is_found_in_the_api() {
    let laptop = Laptop::new();
    for (database_rule, source) in [("private-ip", "private_ip"), ("security-group", "group_id")] {
        let settings = [("DEVDB_BASTION_DATABASE_RULE", database_rule)];
        laptop.devdb_with(&settings, "bastion up").expect_code(0);
        let key = laptop.state().join("bastion_key").display().to_string();
        let public_key = laptop.shell(&format!("ssh-keygen -y -f '{key}'")).expect_code(0).stdout;
        let facts = laptop.python("facts.py", &["ada"]).expect_code(0).json();
        follows_the_runbook(&facts, &public_key);
        let ours = facts["database_rules"].as_array().unwrap().iter().filter(|rule| rule["is_devdbs"] == true);
        let address = facts[source].as_str().unwrap();
        let wanted = if database_rule == "private-ip" { format!("{address}/32") } else { address.to_owned() };
        let wanted = json!({
            "egress": false, "protocol": "tcp", "ports": [5432, 5432], "source": wanted, "is_devdbs": true,
        });
        assert_eq!(ours.collect::<Vec<_>>(), [&wanted], "{database_rule}: one way into the writer's group");
        laptop.devdb("bastion down").expect_code(0);
        laptop.leftovers().expect_code(0);
    }
}
