use super::{BastionError, Identity, Instance, Observed, Plan, Step};

/// Decides what has to go so that nothing of this owner's bastion is left. Pure.
///
/// Access to the database goes first, then what could use it, then the group (its interfaces must be gone), then keys.
///
/// What another principal has under our alias stays, and is told: it may have been put there to be in the way.
///
/// # Errors
/// [`BastionError::Elsewhere`].
pub fn plan_down(identity: &Identity, observed: &Observed, now: jiff::Timestamp) -> Result<Plan, BastionError> {
    let ours = observed.ours(identity)?;
    let (mut steps, mut questions) = (Vec::new(), Vec::new());
    for rule in &ours.rules {
        // The rules of our own group go with it.
        if !ours.is_in_own_group(rule) {
            steps.push(Step::Revoke { rule: (*rule).clone(), what: "the database rule" });
        }
    }
    let mut leaving = ours.leaving.clone();
    for instance in &ours.live {
        if observed.may_be_a_colleagues(identity, instance) {
            questions.push(format!(
                "terminate instance {}{}: its key is not on this computer, and it may be a colleague's with the same role?",
                instance.id,
                instance.age(now)
            ));
        }
        steps.push(Step::Terminate { instance_id: instance.id.clone(), reason: None });
        leaving.push(instance);
    }
    // The end of one that carries a group is seen when the group can be deleted.
    let carries_none = |instance: &&&Instance| !ours.groups.iter().any(|group| instance.carries(group));
    let instance_ids: Vec<String> = leaving.iter().filter(carries_none).map(|instance| instance.id.clone()).collect();
    if !instance_ids.is_empty() {
        steps.push(Step::AwaitTermination { instance_ids });
    }
    steps.extend(ours.groups.iter().map(|group| Step::delete_group(group, &leaving)));
    steps
        .extend(ours.key_pairs.iter().map(|pair| Step::DeleteKeyPair { id: pair.id.clone(), name: pair.name.clone() }));
    if let (true, Some(id)) = (ours.key_pairs.is_empty(), observed.own_key_pair_id(identity)) {
        let name = observed.generation.as_ref().and_then(|mine| mine.key_pair_name.clone());
        let name = name.unwrap_or_else(|| identity.resource_name());
        steps.push(Step::DeleteKeyPair { id: id.to_owned(), name });
    }
    let stands_alone = ours.live.is_empty() && ours.leaving.is_empty();
    if stands_alone && !steps.is_empty() && observed.leftovers_may_be_a_colleagues(identity, &ours) {
        let what = ours.key_pair().map_or_else(
            || "what is left of a bastion".to_owned(),
            |pair| format!("key pair {} and what came with it", pair.name),
        );
        questions.push(format!(
            "remove {what}: it was made on another computer, perhaps by a colleague with the same role?"
        ));
    }
    if observed.local_files && !ours.keys_are_in_use(observed) {
        steps.push(Step::ForgetKeys);
    }
    Ok(Plan { steps, questions, warnings: ours.others })
}
