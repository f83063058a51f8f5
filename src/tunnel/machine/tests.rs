use super::*;
use TunnelState::{Failed, Reconnecting, Starting, Stopping, Suspect, Up};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn open(milliseconds: u64) -> Action {
    Action::OpenLink { after: Duration::from_millis(milliseconds) }
}

fn up() -> Machine {
    let mut machine = Machine::new(NOW, Backoff::default());
    assert_eq!(machine.on(Event::Started, NOW, 1.0), [open(0)]);
    assert_eq!(machine.state, Starting);
    assert_eq!(machine.on(Event::LinkOpened, NOW, 1.0), [Action::Probe { after: Duration::ZERO }]);
    assert_eq!(machine.state, Starting);
    assert_eq!(machine.on(Event::WriterUp, NOW, 1.0), []);
    assert_eq!(machine.state, Up);
    machine
}

fn lost(lived: u64) -> Event {
    Event::LinkLost { end: LinkEnd::Other { said: None }, lived: Duration::from_secs(lived) }
}

#[test]
fn a_lost_link_is_replaced_at_once_and_remembered() {
    let mut machine = up();
    assert_eq!(machine.on(lost(60), NOW, 1.0), [Action::CloseLink, open(0)]);
    assert_eq!((machine.state, machine.restarts.len()), (Reconnecting, 1));
}

#[test]
fn a_link_that_keeps_dying_is_replaced_more_and_more_slowly() {
    let mut machine = up();
    assert_eq!(machine.on(lost(0), NOW, 1.0), [Action::CloseLink, open(500)]);
    assert_eq!(machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 1.0), [open(1000)]);
    assert_eq!(machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 0.5), [open(1000)]);
}

#[test]
fn no_attempt_is_burned_without_a_network() {
    let mut machine = up();
    machine.on(lost(60), NOW, 1.0);
    let attempts = machine.attempts;
    for _ in 0..100 {
        let without = LinkError::NoNetwork { said: String::new() };
        assert_eq!(machine.on(Event::LinkFailed(without), NOW, 1.0), [open(1000)]);
    }
    assert_eq!(machine.attempts, attempts);
}

#[test]
fn a_foreign_host_key_ends_it_at_once_and_only_a_restart_begins_again() {
    let mut machine = up();
    machine.on(lost(60), NOW, 1.0);
    assert_eq!(machine.on(Event::LinkFailed(LinkError::HostKey { said: String::new() }), NOW, 1.0), []);
    assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::HostKey)));
    assert_eq!(machine.on(Event::Suspicion { cause: "woke up".to_owned() }, NOW, 1.0), []);
    assert_eq!(machine.state, Failed);
    assert_eq!(machine.on(Event::RestartAsked { cause: "asked".to_owned() }, NOW, 1.0), [open(0)]);
    assert_eq!((machine.state, machine.remedy), (Reconnecting, None));
}

#[test]
fn a_refused_key_is_tried_once_more() {
    let mut machine = Machine::new(NOW, Backoff::default());
    machine.on(Event::Started, NOW, 1.0);
    let refused = || Event::LinkFailed(LinkError::Authentication { said: String::new() });
    assert_eq!(machine.on(refused(), NOW, 1.0), [open(500)]);
    assert_eq!(machine.on(refused(), NOW, 1.0), []);
    assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Authentication)));
}

#[test]
fn another_database_behind_the_endpoint_closes_the_link() {
    let mut machine = up();
    let foreign = Foreign { cause: "the certificate is for staging".to_owned(), remedy: Remedy::Identity };
    assert_eq!(machine.on(Event::WriterForeign(foreign), NOW, 1.0), [Action::CloseLink]);
    assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Identity)));
}

#[test]
fn doubt_is_settled_from_the_near_end_to_the_far_one() {
    let mut machine = up();
    let doubt = || Event::Suspicion { cause: "a client waits".to_owned() };
    assert_eq!(machine.on(doubt(), NOW, 1.0), [Action::CheckLink]);
    assert_eq!(machine.state, Suspect);
    assert_eq!(machine.on(doubt(), NOW, 1.0), [], "one check at a time");
    assert_eq!(machine.on(Event::LinkAnswers, NOW, 1.0), [Action::Probe { after: Duration::ZERO }]);
    let silent = Event::WriterDown { cause: "no answer".to_owned(), absence: Absence::Silent };
    assert_eq!(machine.on(silent, NOW, 1.0), [Action::CheckLink]);
    let silent = Event::LinkSilent { lived: Duration::from_secs(90) };
    assert_eq!(machine.on(silent, NOW, 1.0), [Action::RetireLink, open(0)]);
    assert_eq!(machine.state, Reconnecting);
}

#[test]
fn an_ssh_that_nobody_can_reach_is_replaced_and_more_slowly_each_time() {
    let mut machine = up();
    let unreachable = |lived| Event::LinkUnreachable { lived: Duration::from_secs(lived) };
    assert_eq!(machine.on(unreachable(90), NOW, 1.0), [Action::RetireLink, open(0)]);
    assert_eq!((machine.state, machine.restarts.len()), (Reconnecting, 1));
    machine.on(Event::LinkOpened, NOW, 1.0);
    assert_eq!(machine.on(unreachable(0), NOW, 1.0), [Action::RetireLink, open(500)]);
}

#[test]
fn a_database_that_refuses_keeps_its_ssh() {
    let mut machine = up();
    let refused = || Event::WriterDown { cause: "refused".to_owned(), absence: Absence::Refused };
    assert_eq!(machine.on(refused(), NOW, 1.0), [Action::Probe { after: Duration::from_millis(500) }]);
    assert_eq!(machine.on(refused(), NOW, 1.0), [Action::Probe { after: Duration::from_secs(1) }]);
    assert_eq!(machine.state, Suspect);
    machine.on(Event::WriterUp, NOW, 1.0);
    assert_eq!((machine.state, machine.restarts.len()), (Up, 0));
}

#[test]
fn only_what_looks_like_the_network_is_waited_for() {
    let mut machine = up();
    machine.on(lost(60), NOW, 1.0);
    assert!(!machine.is_away, "a killed ssh is replaced without a question");
    machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 1.0);
    assert!(machine.is_away);
    machine.on(Event::LinkFailed(LinkError::Failed { said: String::new() }), NOW, 1.0);
    assert!(!machine.is_away);
    let end = LinkEnd::NoAnswer { said: "Timeout, server 203.0.113.7 not responding.".to_owned() };
    machine.on(Event::LinkLost { end, lived: Duration::ZERO }, NOW, 1.0);
    assert!(machine.is_away);
    machine.on(Event::RestartAsked { cause: "asked".to_owned() }, NOW, 1.0);
    assert!(!machine.is_away);
    machine.on(Event::LinkSilent { lived: Duration::ZERO }, NOW, 1.0);
    assert!(machine.is_away);
    machine.on(Event::LinkOpened, NOW, 1.0);
    assert!(!machine.is_away);
}

#[test]
fn a_bastion_that_is_gone_ends_it_and_missing_credentials_do_not() {
    let mut machine = up();
    machine.on(lost(60), NOW, 1.0);
    let cause = || "needs-credentials: expired".to_owned();
    assert_eq!(machine.on(Event::CannotMend { cause: cause(), login: true }, NOW, 1.0), []);
    assert_eq!(
        (machine.state, machine.cause.clone(), machine.remedy),
        (Reconnecting, Some(cause()), Some(Remedy::Credentials))
    );
    machine.on(Event::LinkOpened, NOW, 1.0);
    machine.on(Event::WriterUp, NOW, 1.0);
    assert_eq!((machine.state, machine.remedy), (Up, None));
    machine.on(Event::CannotMend { cause: cause(), login: true }, NOW, 1.0);
    assert_eq!((machine.state, machine.cause.clone()), (Up, None), "it came too late");
    machine.on(lost(60), NOW, 1.0);
    assert_eq!(machine.on(Event::BastionGone { cause: "gone".to_owned() }, NOW, 1.0), []);
    assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Bastion)));
}

#[test]
fn nothing_moves_a_tunnel_that_is_stopping() {
    let mut machine = up();
    machine.on(Event::StopAsked, NOW, 1.0);
    assert_eq!(machine.on(lost(1), NOW, 1.0), []);
    assert_eq!(machine.state, Stopping);
}
