/// What a key's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A path; relative ones are relative to the file that names it (or the working directory).
    Path,
    Port,
    /// `30s`, `12h`, `1h 30m`.
    Duration,
    Boolean,
    List,
    Map,
    Choice(&'static [&'static str]),
}

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// At the top of `devdb.toml`.
    Project,
    /// At the top of `devdb.local.toml` only: it names a person.
    Personal,
    /// In `[environment.NAME]`.
    Environment,
}

/// A setting that devdb knows.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted, as below its scope: `bastion.ttl` stands in `[environment.NAME.bastion]`.
    pub name: &'static str,
    pub scope: Scope,
    pub kind: Kind,
    pub default: Option<&'static str>,
    pub about: &'static str,
}

impl Key {
    /// The variable that overrides it: `DEVDB_BASTION_TTL` for `bastion.ttl`.
    pub fn variable(&self) -> String {
        format!("DEVDB_{}", self.name.replace('.', "_").to_uppercase())
    }
}

const fn key(name: &'static str, scope: Scope, kind: Kind, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, scope, kind, default, about }
}

use Kind::{Choice, Duration, List, Map, Path, Port, Text};
use Scope::{Environment, Personal, Project};

/// Every setting there is. `config show`, the check for unknown keys and the variables all read this table.
pub const KEYS: &[Key] = &[
    key("project", Project, Text, None, "names resources and state"),
    key("alias", Personal, Text, None, "you, in the names of your resources"),
    key("migrations.dir", Project, Path, Some("db/migrations"), "folder of the SQL migrations"),
    key("migrations.table", Project, Text, Some("kysely_migration"), "Kysely's migrationTableName"),
    key("migrations.lock_table", Project, Text, Some("kysely_migration_lock"), "Kysely's migrationLockTableName"),
    key("migrations.schema", Project, Text, None, "Kysely's migrationTableSchema"),
    key("migrations.allow_unordered", Project, Kind::Boolean, Some("false"), "Kysely's allowUnorderedMigrations"),
    key("kind", Environment, Choice(&["personal", "shared", "protected"]), Some("shared"), "what may be done to it"),
    key("profile", Environment, Text, None, "AWS profile"),
    key("region", Environment, Text, None, "AWS region"),
    key("stack", Environment, Text, None, "CloudFormation stack to discover VPC, cluster and secret from"),
    key("vpc", Environment, Text, None, "VPC id, instead of discovery"),
    key("cluster", Environment, Text, None, "DB cluster identifier, instead of discovery"),
    key("secret", Environment, Text, None, "secret's name or ARN, instead of discovery"),
    key("database", Environment, Text, None, "database name; default: the secret's, then the cluster's"),
    key("user", Environment, Text, None, "database user; default: the secret's"),
    key("iam", Environment, Kind::Boolean, Some("false"), "log in with IAM tokens instead of the secret's password"),
    key("iam_user", Environment, Text, None, "database user of IAM tokens; default: `user`"),
    key(
        "env.client",
        Environment,
        Choice(&["libpq", "node", "jdbc"]),
        Some("libpq"),
        "what `env` and `exec` set variables for",
    ),
    key("transport", Environment, Choice(&["ssh", "direct"]), Some("ssh"), "how the endpoint is reached"),
    key("subnet_name", Environment, Text, Some("Ingress"), "name of the subnets that a bastion may stand in"),
    key("ca_file", Environment, Path, None, "CA certificates, instead of the shipped RDS bundle"),
    key(
        "echo_url",
        Environment,
        Text,
        Some("https://checkip.amazonaws.com"),
        "service that answers the caller's IPv4 address",
    ),
    key("bastion.instance_type", Environment, Text, Some("t2.micro"), "falls back where the zone lacks it"),
    key("bastion.ttl", Environment, Duration, Some("12h"), "the bastion powers itself off after this"),
    key(
        "bastion.database_rule",
        Environment,
        Choice(&["private-ip", "security-group"]),
        Some("private-ip"),
        "what the database's security group lets in",
    ),
    key("bastion.allow_cidrs", Environment, List, None, "further addresses that may reach port 22"),
    key("bastion.ssh_port", Environment, Port, Some("22"), "sshd's port"),
    key("bastion.ssh_user", Environment, Text, Some("ec2-user"), "login of the image"),
    key("bastion.ami", Environment, Text, None, "image id, instead of the newest Amazon Linux 2023"),
    key("bastion.kms_key", Environment, Text, None, "KMS key of the root volume"),
    key("bastion.tags", Environment, Map, None, "further tags on everything that is created"),
    key("tunnel.writer_port", Environment, Port, Some("5432"), "local port of the writer"),
    key("tunnel.reader_port", Environment, Port, Some("5433"), "local port of the reader"),
    key("tunnel.hold", Environment, Duration, Some("30s"), "how long new connections wait for the tunnel"),
    key(
        "tunnel.users",
        Environment,
        Choice(&["mine", "all"]),
        Some("mine"),
        "whose programs on this computer it serves",
    ),
    key("ssh.proxy_command", Environment, Text, None, "OpenSSH ProxyCommand on the way to the bastion"),
    key("ssh.proxy_jump", Environment, Text, None, "OpenSSH ProxyJump on the way to the bastion"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_so_are_their_variables() {
        let mut names: Vec<String> = KEYS.iter().map(Key::variable).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
    }
}
