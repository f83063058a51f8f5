//! A bastion's workshop with toy pipes: in-memory AWS, a shell that is ready at once, keys that are counted.

use devdb::bastion::{
    self, BastionAccess, BastionError, BastionReport, BastionSpec, Cidr, DatabaseSource, Event, LocalState, Plan,
    Scope, Site, SiteSubnet, Workshop,
};
use devdb::system::CloudError;
use devdb::testing::{FakeCloud, FakeEcho, FakeKeys, FakeShell, FixedClock};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Rig {
    pub(crate) cloud: Arc<FakeCloud>,
    pub(crate) shell: FakeShell,
    pub(crate) echo: FakeEcho,
    pub(crate) keys: FakeKeys,
    pub(crate) clock: FixedClock,
    pub(crate) local: LocalState,
    pub(crate) spec: BastionSpec,
    pub(crate) scope: Scope,
    _home: tempfile::TempDir,
}

pub(crate) fn scope(owner: &str) -> Scope {
    Scope { project: "shop".to_owned(), environment: "dev".to_owned(), owner: owner.to_owned() }
}

pub(crate) fn spec() -> BastionSpec {
    let subnet = |id: &str, zone: &str| SiteSubnet { id: id.to_owned(), zone: zone.to_owned() };
    BastionSpec {
        site: Site {
            vpc_id: "vpc-1".to_owned(),
            subnets: vec![subnet("subnet-ingress-2", "eu-west-1b"), subnet("subnet-ingress-1", "eu-west-1a")],
            database_group_id: "sg-database".to_owned(),
            endpoints: vec!["appdb.cluster-abc.eu-west-1.rds.amazonaws.com".to_owned()],
            port: 5432,
            database_cidrs: vec!["10.0.4.0/24".to_owned(), "10.0.5.0/24".to_owned()],
            ipv6: false,
        },
        instance_type: "t2.micro".to_owned(),
        instance_type_is_chosen: false,
        image: None,
        kms_key: None,
        ssh_user: "ec2-user".to_owned(),
        ssh_port: 22,
        ttl: Duration::from_secs(12 * 3600),
        database_source: DatabaseSource::PrivateIp,
        ssh_cidrs: vec![Cidr::parse("198.51.100.7").unwrap()],
        tags: Default::default(),
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::beside(Arc::new(FakeCloud::default()))
    }

    /// Another computer with the same account.
    pub(crate) fn beside(cloud: Arc<FakeCloud>) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self {
            cloud,
            shell: FakeShell::default(),
            echo: FakeEcho::default(),
            keys: FakeKeys::default(),
            clock: FixedClock::default(),
            local: LocalState::new(home.path()),
            spec: spec(),
            scope: scope("ada"),
            _home: home,
        }
    }

    pub(crate) fn workshop<'a>(&'a self, tell: &'a (dyn Fn(Event) + Sync)) -> Workshop<'a> {
        Workshop {
            cloud: &*self.cloud,
            shell: &self.shell,
            echo: &self.echo,
            echo_url: "https://echo.example",
            keys: &self.keys,
            clock: &self.clock,
            local: &self.local,
            region: "eu-west-1",
            proxy: (None, None),
            tell,
        }
    }

    pub(crate) async fn plan(&self) -> Result<Plan, BastionError> {
        use devdb::system::Clock;
        let workshop = self.workshop(&|_| {});
        let (identity, mut observed) = bastion::observe(&workshop, &self.scope).await?;
        bastion::observe_for_up(&workshop, &identity, &self.spec, &mut observed).await?;
        bastion::plan_up(&identity, &self.spec, &observed, self.clock.now())
    }

    /// `devdb bastion up --yes`.
    pub(crate) async fn up(&self) -> Result<(BastionReport, BastionAccess), BastionError> {
        self.up_telling(&|_| {}).await
    }

    pub(crate) async fn up_telling(
        &self,
        tell: &(dyn Fn(Event) + Sync),
    ) -> Result<(BastionReport, BastionAccess), BastionError> {
        use devdb::system::Clock;
        let workshop = self.workshop(tell);
        let (identity, mut observed) = bastion::observe(&workshop, &self.scope).await?;
        bastion::observe_for_up(&workshop, &identity, &self.spec, &mut observed).await?;
        let plan = bastion::plan_up(&identity, &self.spec, &observed, self.clock.now())?;
        bastion::up(&workshop, &identity, &self.spec, &observed, &plan).await
    }

    pub(crate) async fn down(&self) -> Result<(), BastionError> {
        use devdb::system::Clock;
        let workshop = self.workshop(&|_| {});
        let (identity, observed) = bastion::observe_down(&workshop, &self.scope).await?;
        let plan = bastion::plan_down(&identity, &observed, self.clock.now())?;
        bastion::down(&workshop, &identity, &observed, &plan).await
    }

    /// How many of each kind are alive: instances, groups, keys, rules.
    pub(crate) fn count(&self) -> (usize, usize, usize, usize) {
        let alive = self.cloud.alive();
        let of = |kind: &str| alive.iter().filter(|line| line.starts_with(kind)).count();
        (of("instance"), of("group"), of("key"), of("rule"))
    }
}

/// One instance, one group, one key pair; ssh, two ways out, one way into the database.
pub(crate) const COMPLETE: (usize, usize, usize, usize) = (1, 1, 1, 4);
pub(crate) const NOTHING: (usize, usize, usize, usize) = (0, 0, 0, 0);

pub(crate) fn throttled() -> CloudError {
    CloudError::Throttled { action: "any".to_owned(), source: None }
}
