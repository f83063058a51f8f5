use crate::commands::context::Context;
use crate::error::CommandError;
use crate::tunnel::{LogLine, TunnelFiles, follow_log, read_log};
use crate::ui::{ExitStatus, Paint, Report};
use jiff::Timestamp;
use serde::Serialize;

/// Tell what happened to the tunnel, and why
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// Go on with what happens next, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Begin with this many of the last lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
    lines: usize,
}

pub(crate) async fn run(args: &LogsArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let path = TunnelFiles::new(context.state_dir()?.path()).log();
    let lines = read_log(&path);
    let begin = lines.len().saturating_sub(args.lines);
    let mut day = Day::default();
    if lines.is_empty() {
        context.printer().hint("there is no log yet: `devdb tunnel up` starts the tunnel");
    }
    if !args.follow {
        context.printer().report(&Log { lines: lines[begin..].to_vec() })?;
        return Ok(ExitStatus::Success);
    }
    context.ends_by_interrupt();
    let json = context.printer().settings().json;
    let paint = context.printer().paint_out();
    let mut show = |line: &LogLine| match json {
        true => context.printer().document(&serde_json::to_string(line)?),
        false => context.printer().product(&day.text(line, paint)),
    };
    lines[begin..].iter().try_for_each(&mut show)?;
    follow_log(&path, lines.len(), &mut show).await?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Log {
    lines: Vec<LogLine>,
}

impl Report for Log {
    fn text(&self, paint: Paint) -> String {
        let mut day = Day::default();
        self.lines.iter().map(|line| day.text(line, paint)).collect()
    }
}

/// The day is written once, above its first line.
#[derive(Default)]
struct Day(Option<String>);

impl Day {
    fn text(&mut self, line: &LogLine, paint: Paint) -> String {
        let Some(at) = line.at else { return format!("          {}\n", paint.faint(&line.text)) };
        let (day, time) = split(at);
        let is_new = self.0.as_ref() != Some(&day);
        let heading = if is_new { format!("{}\n", paint.strong(&format!("{day} (UTC)"))) } else { String::new() };
        self.0 = Some(day);
        let (word, rest) = line.text.split_once([':', ' ', ';']).unwrap_or((&line.text, ""));
        let painted = match word {
            "up" => paint.good(word),
            "failed" => paint.bad(word),
            "reconnecting" | "suspect" => paint.warn(word),
            _ => word.to_owned(),
        };
        let between = &line.text[word.len()..line.text.len() - rest.len()];
        format!("{heading}{}  {painted}{between}{rest}\n", paint.faint(&time))
    }
}

fn split(at: Timestamp) -> (String, String) {
    let text = format!("{at:.0}");
    let (day, time) = text.split_once('T').unwrap_or(("", &text));
    (day.to_owned(), time.trim_end_matches('Z').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_has_a_heading_for_each_day_and_a_time_for_each_line() {
        let line = |at: &str, text: &str| LogLine { at: at.parse().ok(), text: text.to_owned() };
        let log = Log {
            lines: vec![
                line("2026-11-22T12:00:01.200Z", "up: db.example.com answers in 12.3 ms"),
                line("2026-11-22T12:07:44.900Z", "reconnecting: ssh ended: Timeout, server not responding."),
                line("2026-11-22T12:07:46.100Z", "up again after 1.2 s"),
                line("", "thread panicked"),
                line("2026-11-23T00:00:00.000Z", "stopped"),
            ],
        };
        insta::assert_snapshot!(log.text(Paint { color: false }), @r"
        2026-11-22 (UTC)
        12:00:01  up: db.example.com answers in 12.3 ms
        12:07:44  reconnecting: ssh ended: Timeout, server not responding.
        12:07:46  up again after 1.2 s
                  thread panicked
        2026-11-23 (UTC)
        00:00:00  stopped
        ");
    }
}
