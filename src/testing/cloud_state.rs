use crate::bastion::{Group, Instance, InstanceState, KeyPair, Rule};
use crate::discovery::{ClusterFacts, InstanceFacts, RouteFacts, RouteTableFacts, StackResource, SubnetFacts};
use crate::system::CloudError;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// An instance, and how many looks it takes until its state moves on.
#[derive(Debug, Clone)]
pub(super) struct FakeInstance {
    pub(super) instance: Instance,
    pub(super) looks: u32,
}

/// Makes an error; [`CloudError`] cannot be copied.
pub type MakeError = Arc<dyn Fn() -> CloudError + Send + Sync>;

#[derive(Clone)]
pub(super) enum Misfortune {
    Fail(MakeError),
    /// The call never returns, as if the process had been killed there.
    Cut,
}

#[derive(Clone)]
pub(super) struct Fault {
    /// The call's number, counted from 1, or its action.
    pub(super) at: Option<usize>,
    pub(super) action: Option<&'static str>,
    pub(super) after: bool,
    pub(super) misfortune: Misfortune,
}

pub(super) struct State {
    pub(super) calls: Vec<&'static str>,
    pub(super) faults: Vec<Fault>,
    /// Actions whose next answer lists nothing.
    pub(super) blind: Vec<&'static str>,
    pub(super) user_id: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) last_id: u32,
    pub(super) looks: u32,
    pub(super) instances: Vec<FakeInstance>,
    pub(super) console: Option<String>,
    pub(super) groups: Vec<Group>,
    pub(super) rules: Vec<Rule>,
    pub(super) key_pairs: BTreeMap<String, KeyPair>,
    pub(super) offers: Vec<(String, String)>,
    pub(super) stacks: BTreeMap<String, Vec<StackResource>>,
    pub(super) clusters: BTreeMap<String, (ClusterFacts, Vec<InstanceFacts>)>,
    pub(super) subnets: BTreeMap<String, Vec<SubnetFacts>>,
    pub(super) route_tables: BTreeMap<String, Vec<RouteTableFacts>>,
    /// The versions that are read one after the other; none is binary.
    pub(super) secrets: BTreeMap<String, Vec<Option<String>>>,
}

impl Default for State {
    fn default() -> Self {
        let zones = ["eu-west-1a", "eu-west-1b"];
        let mut state = Self {
            calls: Vec::new(),
            faults: Vec::new(),
            blind: Vec::new(),
            user_id: "AROAEXAMPLE:ada@example.com".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            last_id: 0,
            looks: 0,
            instances: Vec::new(),
            console: Some("[    0.000000] Linux version 6.1\r\n[   12.5] Cloud-init v. 22.2.2 finished\r\n".to_owned()),
            groups: Vec::new(),
            rules: Vec::new(),
            key_pairs: BTreeMap::new(),
            offers: zones.iter().map(|zone| ((*zone).to_owned(), "t2.micro".to_owned())).collect(),
            stacks: BTreeMap::new(),
            clusters: BTreeMap::new(),
            subnets: BTreeMap::new(),
            route_tables: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        state.add_stack();
        state
    }
}

impl State {
    /// A stack like the one that CDK makes: three kinds of subnets in two zones, a cluster of two, a secret.
    fn add_stack(&mut self) {
        let resource = |logical_id: &str, physical_id: &str, kind: &str| StackResource {
            logical_id: logical_id.to_owned(),
            physical_id: physical_id.to_owned(),
            kind: kind.to_owned(),
        };
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-Ab12Cd";
        self.stacks.insert(
            "AppDbStack".to_owned(),
            vec![
                resource("Vpc8378EB38", "vpc-1", "AWS::EC2::VPC"),
                resource("DatabaseB269D8BB", "appdb", "AWS::RDS::DBCluster"),
                resource("DatabaseSecret3B817195", secret, "AWS::SecretsManager::Secret"),
                resource("DatabaseSecretAttachment", secret, "AWS::SecretsManager::SecretTargetAttachment"),
            ],
        );
        let text = r#"{"username":"app","password":"s3cret","dbname":"app"}"#;
        self.secrets.insert(secret.to_owned(), vec![Some(text.to_owned())]);
        let mut subnets = Vec::new();
        let mut open = Vec::new();
        for (row, name) in ["Ingress", "Application", "Database"].into_iter().enumerate() {
            for (column, zone) in ["eu-west-1a", "eu-west-1b"].into_iter().enumerate() {
                let id = format!("subnet-{}-{}", name.to_lowercase(), column + 1);
                if name == "Ingress" {
                    open.push(id.clone());
                }
                subnets.push(SubnetFacts {
                    id,
                    zone: zone.to_owned(),
                    cidr: format!("10.0.{}.0/24", row * 2 + column),
                    free_addresses: 250,
                    cdk_name: Some(name.to_owned()),
                    logical_id: None,
                    name: None,
                });
            }
        }
        let route =
            RouteFacts { destination: "0.0.0.0/0".to_owned(), gateway_id: Some("igw-1".to_owned()), active: true };
        self.route_tables.insert(
            "vpc-1".to_owned(),
            vec![
                RouteTableFacts { subnet_ids: open, is_main: false, routes: vec![route] },
                RouteTableFacts { subnet_ids: Vec::new(), is_main: true, routes: Vec::new() },
            ],
        );
        let member = |id: &str, zone: &str| InstanceFacts {
            id: id.to_owned(),
            zone: Some(zone.to_owned()),
            endpoint: Some(format!("{id}.abc123.eu-west-1.rds.amazonaws.com")),
            security_group_ids: vec!["sg-database".to_owned()],
            vpc_id: Some("vpc-1".to_owned()),
            subnet_ids: vec!["subnet-database-1".to_owned(), "subnet-database-2".to_owned()],
        };
        let cluster = ClusterFacts {
            id: "appdb".to_owned(),
            writer_endpoint: Some("appdb.cluster-abc123.eu-west-1.rds.amazonaws.com".to_owned()),
            reader_endpoint: Some("appdb.cluster-ro-abc123.eu-west-1.rds.amazonaws.com".to_owned()),
            port: Some(5432),
            database: Some("app".to_owned()),
            master_user: Some("app".to_owned()),
            master_secret: None,
            members: vec![("appdb-1".to_owned(), false), ("appdb-2".to_owned(), true)],
        };
        let members = vec![member("appdb-1", "eu-west-1a"), member("appdb-2", "eu-west-1b")];
        self.clusters.insert("appdb".to_owned(), (cluster, members));
        self.subnets.insert("vpc-1".to_owned(), subnets);
    }

    /// True once for each time that the action was made blind.
    pub(super) fn is_blind(&mut self, action: &str) -> bool {
        let found = self.blind.iter().position(|blind| *blind == action);
        found.map(|index| self.blind.remove(index)).is_some()
    }

    pub(super) fn id(&mut self, kind: &str) -> String {
        self.last_id += 1;
        format!("{kind}-{:04}", self.last_id)
    }

    /// Time passes with every look at the instances, and with every try to take a group from them.
    pub(super) fn look(&mut self) {
        for number in 0..self.instances.len() {
            match self.instances[number].looks.checked_sub(1) {
                Some(left) => self.instances[number].looks = left,
                None => self.move_on(number),
            }
        }
    }

    /// Moves an instance out of its passing state.
    pub(super) fn move_on(&mut self, number: usize) {
        let instance = &mut self.instances[number].instance;
        match instance.state {
            InstanceState::Pending => {
                instance.state = InstanceState::Running;
                let address = Ipv4Addr::new(203, 0, 113, u8::try_from(number + 1).unwrap_or(255));
                instance.public_ip = Some(address);
                let dashed = address.to_string().replace('.', "-");
                instance.public_dns = Some(format!("ec2-{dashed}.eu-west-1.compute.amazonaws.com"));
            }
            InstanceState::ShuttingDown => {
                instance.state = InstanceState::Terminated;
                instance.public_ip = None;
                instance.public_dns = None;
                instance.private_ip = None;
            }
            InstanceState::Stopping => instance.state = InstanceState::Stopped,
            _ => {}
        }
    }
}

pub(super) fn refused(action: &'static str, code: &str) -> CloudError {
    CloudError::Refused { action: action.to_owned(), code: code.to_owned(), message: "no".to_owned() }
}
