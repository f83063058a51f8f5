use super::{Plan, Step};

/// Why a bastion cannot be mended in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beyond {
    /// There is no instance any more that could be mended.
    Gone,
    /// It stands, but this would have to be done as well, and only a person may decide it.
    Decision(String),
}

/// Whether the plan only mends the way to a bastion that is there: addresses that are let in, an instance that was
/// stopped, the database's rule. Nothing is launched, terminated or deleted, and nobody has to be asked.
///
/// # Errors
/// What stands against it.
pub fn mends(plan: &Plan) -> Result<(), Beyond> {
    let launches = plan.steps.iter().any(|step| matches!(step, Step::Launch { .. }));
    // One that would be replaced (its settings have changed since) is asked about, and is not gone.
    if launches && plan.questions.is_empty() {
        return Err(Beyond::Gone);
    }
    let is_mending = |step: &&Step| {
        matches!(
            step,
            Step::Start { .. }
                | Step::AwaitReady
                | Step::CloseEgress
                | Step::AllowEgress { .. }
                | Step::AllowSsh { .. }
                | Step::AllowDatabase { .. }
                | Step::Revoke { .. }
        )
    };
    let other = plan.steps.iter().find(|step| !is_mending(step)).map(ToString::to_string);
    match plan.questions.first().cloned().or(other) {
        Some(decision) => Err(Beyond::Decision(decision)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { steps, ..Plan::default() }
    }

    #[test]
    fn rules_and_a_stopped_instance_are_mended_and_nothing_else() {
        let start = Step::Start { instance_id: "i-0abc".to_owned() };
        let allow = Step::AllowSsh { cidrs: vec!["203.0.113.9/32".to_owned()], port: 22 };
        assert_eq!(mends(&plan(vec![start, allow.clone(), Step::AwaitReady])), Ok(()));
        let launch = Step::Launch {
            instance_type: "t3.micro".to_owned(),
            subnet_id: "subnet-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            instead_of: None,
        };
        assert_eq!(mends(&plan(vec![allow.clone(), launch.clone()])), Err(Beyond::Gone));
        let replaced = Plan { questions: vec!["replace it?".to_owned()], ..plan(vec![launch.clone()]) };
        assert_eq!(mends(&replaced), Err(Beyond::Decision("replace it?".to_owned())));
        let terminate = Step::Terminate { instance_id: "i-0abc".to_owned(), reason: Some("one is enough") };
        let decision = "terminate instance i-0abc (one is enough)".to_owned();
        assert_eq!(mends(&plan(vec![allow.clone(), terminate])), Err(Beyond::Decision(decision)));
        let asked = Plan { questions: vec!["replace?".to_owned()], ..plan(vec![allow]) };
        assert_eq!(mends(&asked), Err(Beyond::Decision("replace?".to_owned())));
    }
}
