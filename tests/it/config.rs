use devdb::testing::Stage;

const COMMITTED: &str = r#"project = "shop"
[environment.dev]
region = "eu-west-1"
stack = "AppDbStack"
[environment.dev.bastion]
ttl = "8h"
"#;

#[test]
fn show_tells_each_value_and_where_it_came_from() {
    let stage = Stage::new()
        .file("devdb.toml", COMMITTED)
        .file("devdb.local.toml", "[environment.dev.tunnel]\nwriter_port = 15432\n")
        .var("DEVDB_SUBNET_NAME", "Public");
    insta::assert_snapshot!(stage.run(["devdb", "config", "show", "--origin", "--region", "eu-central-1"]));
}

#[test]
fn a_misspelled_key_is_answered_with_the_nearest_one() {
    let stage = Stage::new().file("devdb.toml", "project = \"shop\"\n[environment.dev]\nregoin = \"eu-west-1\"\n");
    insta::assert_snapshot!(stage.run(["devdb", "config", "show"]), @r"
    ------- stderr -------
    error: [HOME]/project/devdb.toml:3: unknown key `regoin`

    hint: did you mean `region`?
    ------- exit 1
    ");
}

#[test]
fn without_a_file_there_is_nothing_to_show() {
    insta::assert_snapshot!(Stage::new().run(["devdb", "config", "show"]), @r"
    ------- stderr -------
    error: no devdb.toml was found in [HOME]/project or above it

    hint: change into the project's folder, or name the file: `--config path/to/devdb.toml`
    ------- exit 1
    ");
}

#[test]
fn a_file_that_cannot_be_read_and_a_value_that_makes_no_sense_are_named() {
    let stage = Stage::new().file("devdb.toml", COMMITTED).var("DEVDB_BASTION_TTL", "soon");
    insta::assert_snapshot!(stage.run(["devdb", "config", "show"]), @r"
    ------- stderr -------
    error: `bastion.ttl` is `soon` (variable DEVDB_BASTION_TTL): use a time such as 30s, 12h or 1h 30m

    hint: correct it there: variable DEVDB_BASTION_TTL
    ------- exit 1
    ");
    insta::assert_snapshot!(stage.run(["devdb", "config", "show", "--config", "other.toml"]), @r"
    ------- stderr -------
    error: [HOME]/project/other.toml could not be read
      Caused by: No such file or directory (os error 2)

    hint: check that the file exists and that you may read it
    ------- exit 1
    ");
}

#[test]
fn an_unknown_environment_lists_the_known_ones() {
    let stage = Stage::new().file("devdb.toml", COMMITTED);
    insta::assert_snapshot!(stage.run(["devdb", "-e", "prod", "--json", "config", "show"]), @r#"
    ------- stderr -------
    {"error":{"causes":[],"hints":["choose one of dev with `-e NAME`"],"kind":"failed","message":"there is no environment `prod` (flag --environment)"}}
    ------- exit 1
    "#);
}
