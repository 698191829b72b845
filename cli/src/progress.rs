//! Progress: what a build is doing now, and the lines that show it.

use std::sync::Arc;
use std::time::Duration;

use rbz_engine::event::{Event, How};
use rbz_engine::plan::ActionId;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What is going on, as events told it. Times are those since the command began.
#[derive(Debug, Default)]
pub struct Progress {
    packages: usize,
    targets: usize,
    /// Set when execution began.
    actions: Option<usize>,
    done: usize,
    cache_hits: usize,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    action: ActionId,
    message: Arc<str>,
    strategy: &'static str,
    since: Duration,
}

impl Progress {
    /// Takes in an event that happened at `now`.
    pub fn apply(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Loaded { packages } => self.packages = *packages,
            Event::Analyzed { targets } => self.targets = *targets,
            Event::Executing { actions } => self.actions = Some(*actions),
            Event::ActionStarted { action, message, strategy, .. } => {
                let (action, message) = (*action, message.clone());
                self.running.push(Running { action, message, strategy, since: now });
            }
            Event::ActionFinished { action, how, .. } => {
                self.done += 1;
                self.cache_hits += usize::from(*how == How::CacheHit);
                self.running.retain(|running| running.action != *action);
            }
            Event::ActionFailed(failure) => {
                self.done += 1;
                // An action that failed is known by what it showed: a failure has no number.
                let place = self.running.iter().position(|r| r.message == failure.message);
                if let Some(place) = place {
                    self.running.remove(place);
                }
            }
            Event::Printed { .. }
            | Event::ActionExplained { .. }
            | Event::SpawnLogged(_)
            | Event::TestRan { .. }
            | Event::Warning(_)
            | Event::Info(_)
            | Event::TestWrote { .. }
            | Event::TestMissed { .. }
            | Event::TestKept { .. }
            | Event::TestFinished(_) => {}
        }
    }

    /// The lines for a terminal of this size.
    pub fn lines(&self, now: Duration, width: usize, height: usize) -> Vec<String> {
        let mut lines = vec![shorten(&self.header(), width)];
        let room = height.saturating_sub(1);
        if room == 0 {
            return lines;
        }
        let shown = if self.running.len() > room { room - 1 } else { self.running.len() };
        for running in &self.running[..shown] {
            lines.push(running.line(now, width));
        }
        if shown < self.running.len() {
            lines.push(shorten(&format!("    … {} more", self.running.len() - shown), width));
        }
        lines
    }

    /// One line for an output that is no terminal.
    pub fn line(&self, now: Duration) -> String {
        match self.running.first() {
            None => self.header(),
            Some(oldest) => {
                format!("{}: {}", self.header(), oldest.line(now, usize::MAX).trim_start())
            }
        }
    }

    fn header(&self) -> String {
        let Some(actions) = self.actions else {
            return match self.targets {
                0 => format!("Loading: {}", count(self.packages, "package")),
                targets => format!(
                    "Analyzing: {} ({})",
                    count(targets, "target"),
                    count(self.packages, "package")
                ),
            };
        };
        let mut header = format!("[{} / {actions}]", self.done);
        if !self.running.is_empty() {
            header += &format!(" {} running", count(self.running.len(), "action"));
        }
        if self.cache_hits > 0 {
            let comma = if self.running.is_empty() { "" } else { "," };
            header += &format!("{comma} {}", count(self.cache_hits, "cache hit"));
        }
        header
    }
}

impl Running {
    fn line(&self, now: Duration, width: usize) -> String {
        let seconds = now.saturating_sub(self.since).as_secs();
        let tail = format!("; {seconds}s {}", self.strategy);
        let room = width.saturating_sub(4 + tail.width());
        shorten(&format!("    {}{tail}", shorten(&self.message, room)), width)
    }
}

/// `1 target`, `2 targets`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `text` in one line of at most `width` columns.
fn shorten(text: &str, width: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.width() <= width {
        return text;
    }
    if width == 0 {
        return String::new();
    }
    let mut columns = 0;
    let fits = |c: &char| {
        columns += c.width().unwrap_or(0);
        columns < width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::event::ActionOutput;

    fn started(action: u32, message: &str) -> Event {
        Event::ActionStarted {
            action: ActionId(action),
            message: message.into(),
            strategy: "sandboxed",
            command: None,
        }
    }

    fn finished(action: u32, how: How) -> Event {
        Event::ActionFinished {
            action: ActionId(action),
            how,
            duration: Duration::ZERO,
            output: ActionOutput::default(),
        }
    }

    fn after(events: &[Event]) -> Progress {
        let mut progress = Progress::default();
        for (second, event) in events.iter().enumerate() {
            progress.apply(event, Duration::from_secs(second as u64));
        }
        progress
    }

    #[test]
    fn loading_and_analysis_are_counted() {
        let now = Duration::ZERO;
        assert_eq!(after(&[Event::Loaded { packages: 1 }]).line(now), "Loading: 1 package");
        let progress = after(&[Event::Loaded { packages: 3 }, Event::Analyzed { targets: 7 }]);
        assert_eq!(progress.line(now), "Analyzing: 7 targets (3 packages)");
    }

    #[test]
    fn a_terminal_shows_what_runs_and_for_how_long() {
        let progress = after(&[
            Event::Executing { actions: 340 },
            finished(1, How::CacheHit),
            started(2, "Compiling lib/a.lisp"),
            finished(3, How::UpToDate),
            started(4, "Compiling a/very/long/path/to/some/source/file-with-ä-long-name.lisp"),
            started(5, "Testing //x:t"),
            finished(5, How::Ran),
        ]);
        insta::assert_snapshot!(
            progress.lines(Duration::from_secs(12), 60, 10).join("\n"),
            @r#"
        [3 / 340] 2 actions running, 1 cache hit
            Compiling lib/a.lisp; 10s sandboxed
            Compiling a/very/long/path/to/some/source…; 8s sandboxed
        "#
        );
    }

    #[test]
    fn no_line_is_wider_and_no_display_higher_than_the_terminal() {
        let events = (0..20).map(|n| started(n, "Compiling 漢字漢字漢字漢字漢字漢字.lisp"));
        let progress = after(&events.collect::<Vec<_>>());
        let lines = progress.lines(Duration::ZERO, 30, 5);
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[4], "    … 17 more");
        for (width, height) in [(30, 5), (21, 12), (9, 2), (1, 1), (0, 1)] {
            let lines = progress.lines(Duration::ZERO, width, height);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:?}");
            assert!(lines.len() <= height, "{height}: {lines:?}");
        }
    }

    #[test]
    fn a_log_gets_one_line_with_the_oldest_action() {
        let progress = after(&[Event::Executing { actions: 2 }, started(0, "A"), started(1, "B")]);
        assert_eq!(
            progress.line(Duration::from_secs(5)),
            "[0 / 2] 2 actions running: A; 4s sandboxed"
        );
    }
}
