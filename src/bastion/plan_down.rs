use super::{BastionError, Identity, Observed, Plan, Step};

/// Decides what has to go so that nothing of this owner's bastion is left. Pure.
///
/// Access to the database goes first, then what could use it, then the group (its interfaces must be gone), then keys.
///
/// # Errors
/// [`BastionError::AnotherPrincipal`], [`BastionError::Elsewhere`].
pub fn plan_down(identity: &Identity, observed: &Observed, now: jiff::Timestamp) -> Result<Plan, BastionError> {
    let ours = observed.ours(identity)?;
    let (mut steps, mut questions) = (Vec::new(), Vec::new());
    for rule in &ours.rules {
        // The rules of our own group go with it.
        if !ours.is_in_own_group(rule) {
            steps.push(Step::Revoke { rule: (*rule).clone(), what: "the database rule" });
        }
    }
    let mut leaving: Vec<String> = ours.leaving.iter().map(|instance| instance.id.clone()).collect();
    for instance in &ours.live {
        if observed.may_be_a_colleagues(identity, instance) {
            questions.push(format!(
                "terminate instance {}{}: its key is not on this computer, and it may be a colleague's with the same role?",
                instance.id,
                instance.age(now)
            ));
        }
        steps.push(Step::Terminate { instance_id: instance.id.clone(), reason: None });
        leaving.push(instance.id.clone());
    }
    if !leaving.is_empty() {
        steps.push(Step::AwaitTermination { instance_ids: leaving });
    }
    for group in &ours.groups {
        steps.push(Step::DeleteGroup { group_id: group.id.clone(), name: group.name.clone() });
    }
    if let Some(pair) = ours.key_pair {
        steps.push(Step::DeleteKeyPair { name: pair.name.clone() });
    }
    let stands_alone = ours.live.is_empty() && ours.leaving.is_empty();
    if stands_alone && !steps.is_empty() && observed.leftovers_may_be_a_colleagues(identity, &ours) {
        let what = ours.key_pair.map_or_else(
            || "what is left of a bastion".to_owned(),
            |pair| format!("key pair {} and what came with it", pair.name),
        );
        questions.push(format!(
            "remove {what}: it was made on another computer, perhaps by a colleague with the same role?"
        ));
    }
    if observed.local_files {
        steps.push(Step::ForgetKeys);
    }
    Ok(Plan { steps, questions, ..Plan::default() })
}
