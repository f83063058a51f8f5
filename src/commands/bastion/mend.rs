use super::bench::Bench;
use super::egress::EgressArgs;
use super::up::spec;
use crate::bastion::{self, Beyond};
use crate::commands::context::Context;
use crate::commands::topology::fresh_topology;
use crate::error::CommandError;

/// Mends the way to the bastion that is there, without asking and without replacing anything; what was done.
pub(crate) async fn mend(context: &Context) -> Result<Result<Vec<String>, Beyond>, CommandError> {
    let bench = Bench::fetch(context).await?;
    let egress = EgressArgs::default();
    let (topology, ssh_cidrs) = tokio::try_join!(fresh_topology(context), egress.ssh_cidrs(&bench))?;
    let spec = spec(bench.settings, &topology, ssh_cidrs)?;
    let workshop = bench.workshop(&|_| {});
    let scope = bench.scope();
    let _turn = bench.turn(false, &|_| {}).await?;
    let (identity, mut observed) = bastion::observe(&workshop, &scope).await?;
    bastion::observe_for_up(&workshop, &identity, &spec, &mut observed).await?;
    let plan = bastion::plan_up(&identity, &spec, &observed, context.host().clock.now())?;
    if let Err(beyond) = bastion::mends(&plan) {
        return Ok(Err(beyond));
    }
    // Without a change there is nothing to wait for: that ssh works is what the supervisor finds out.
    if plan.changes() {
        bastion::up(&workshop, &identity, &spec, &observed, &plan).await?;
    }
    Ok(Ok(plan.lines()))
}
