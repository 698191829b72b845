//! What a profile says, as text: phases, the critical path, the slowest actions, how busy the
//! processors were.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::command_error::CommandError;
use crate::profile::{CRITICAL_PATH, PHASE};
use crate::progress::count;

/// As many of the slowest actions are listed.
const SLOWEST: usize = 10;

/// What the files begin with that gzip writes.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A span of time in a profile, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    name: String,
    category: String,
    from: u64,
    length: u64,
}

/// The text about the profile in the file `path`.
pub fn of_file(path: &Path) -> Result<String, CommandError> {
    let shown = path.display();
    let cannot = |error: std::io::Error| {
        CommandError::environment(format!("cannot read the profile `{shown}`: {error}"))
    };
    let mut bytes = std::fs::read(path).map_err(cannot)?;
    if bytes.starts_with(&GZIP) {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).map_err(cannot)?;
        bytes = text;
    }
    let trace: Option<Value> = serde_json::from_slice(&bytes).ok();
    trace.as_ref().and_then(text).ok_or_else(|| {
        CommandError::command_line(format!("`{shown}` is no profile of a build by rbz"))
            .hint("`rbz build --profile=FILE …` writes one")
    })
}

/// The text about a profile; `None` if it is none.
fn text(trace: &Value) -> Option<String> {
    let jobs = trace["otherData"]["jobs"].as_u64()?;
    let spans: Vec<Span> = trace["traceEvents"].as_array()?.iter().filter_map(span).collect();
    let of = |category: &'static str| spans.iter().filter(move |span| span.category == category);
    let phases: Vec<&Span> = of(PHASE).collect();
    let total: u64 = phases.iter().map(|phase| phase.length).sum();
    let mut text = format!("{}\n\nPhases\n", trace["otherData"]["command"].as_str()?);
    for phase in &phases {
        text += &format!(
            "  {} {}  {}\n",
            seconds(phase.length),
            percent(phase.length, total),
            phase.name
        );
    }
    text += &format!("  {}         in all\n", seconds(total));
    let mut actions: Vec<&Span> =
        spans.iter().filter(|s| s.category != PHASE && s.category != CRITICAL_PATH).collect();
    if actions.is_empty() {
        return Some(text + "\nNo action ran.\n");
    }

    let execution: u64 = phases.iter().skip(1).map(|phase| phase.length).sum();
    let work: u64 = actions.iter().map(|action| action.length).sum();
    let places = execution.saturating_mul(jobs);
    text += &format!(
        "\nProcessors\n  {} at a time may run: {} of their time in execution was used\n",
        count(usize::try_from(jobs).unwrap_or(usize::MAX), "action"),
        percent(work, places).trim()
    );
    for (running, time) in running(&actions) {
        let what = count(running, "action");
        text += &format!("  {} {}  with {what}\n", seconds(time), percent(time, execution));
    }

    let path: Vec<&Span> = of(CRITICAL_PATH).collect();
    let length: u64 = path.iter().map(|span| span.length).sum();
    text +=
        &format!("\nCritical path\n  {} {}  in all\n", seconds(length), percent(length, execution));
    for span in path {
        text += &format!(
            "  {} {}  {}\n",
            seconds(span.length),
            percent(span.length, length),
            span.name
        );
    }

    text += "\nKinds of action\n";
    let mut kinds: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for action in &actions {
        let (number, time) = kinds.entry(&action.category).or_default();
        *number += 1;
        *time += action.length;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(name, (_, time))| (std::cmp::Reverse(*time), *name));
    for (name, (number, time)) in kinds {
        text += &format!("  {} {}  {number} {name}\n", seconds(time), percent(time, work));
    }

    text += "\nSlowest actions\n";
    actions.sort_by(|a, b| (b.length, &a.name).cmp(&(a.length, &b.name)));
    for action in actions.iter().take(SLOWEST) {
        let Span { name, category, length, .. } = action;
        text +=
            &format!("  {} {}  {name} ({category})\n", seconds(*length), percent(*length, work));
    }
    Some(text)
}

fn span(event: &Value) -> Option<Span> {
    if event["ph"] != "X" {
        return None;
    }
    Some(Span {
        name: event["name"].as_str()?.to_owned(),
        category: event["cat"].as_str()?.to_owned(),
        from: event["ts"].as_u64()?,
        length: event["dur"].as_u64()?,
    })
}

/// For how long how many actions ran at a time; the most first.
fn running(actions: &[&Span]) -> Vec<(usize, u64)> {
    let mut changes: Vec<(u64, bool)> = Vec::new();
    for action in actions {
        changes.push((action.from, true));
        changes.push((action.from.saturating_add(action.length), false));
    }
    // What ends when another begins does not run beside it.
    changes.sort_unstable();
    let mut times: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut now, mut number) = (changes.first().map_or(0, |change| change.0), 0_usize);
    for (time, begins) in changes {
        *times.entry(number).or_default() += time - now;
        now = time;
        number = if begins { number + 1 } else { number.saturating_sub(1) };
    }
    times.into_iter().rev().filter(|(_, time)| *time > 0).collect()
}

fn seconds(microseconds: u64) -> String {
    format!("{:9.3}s", microseconds as f64 / 1e6)
}

/// A part of a whole, as `100.0%` at most.
fn percent(part: u64, whole: u64) -> String {
    // Both are far below what a float holds exactly.
    let ratio = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    format!("{:5.1}%", ratio * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(name: &str, category: &str, from: u64, length: u64) -> Value {
        json!({"ph": "X", "name": name, "cat": category, "ts": from, "dur": length})
    }

    #[test]
    fn a_profile_is_summed_up() {
        let events = vec![
            event("Loading and analysis", PHASE, 0, 1_000_000),
            event("Execution", PHASE, 1_000_000, 3_000_000),
            json!({"ph": "C", "name": "actions running", "ts": 0, "args": {"actions": 1}}),
            event("Compiling a", "LispCompile", 1_000_000, 1_000_000),
            event("Compiling b", "LispCompile", 1_000_000, 500_000),
            event("Linking p", "CcLink", 2_000_000, 2_000_000),
            event("Compiling a", CRITICAL_PATH, 1_000_000, 1_000_000),
            event("Linking p", CRITICAL_PATH, 2_000_000, 2_000_000),
        ];
        let trace = json!({
            "otherData": {"jobs": 2, "command": "rbz build //:p"}, "traceEvents": events,
        });
        insta::assert_snapshot!(text(&trace).expect("a profile"), @r"
        rbz build //:p

        Phases
              1.000s  25.0%  Loading and analysis
              3.000s  75.0%  Execution
              4.000s         in all

        Processors
          2 actions at a time may run: 58.3% of their time in execution was used
              0.500s  16.7%  with 2 actions
              2.500s  83.3%  with 1 action

        Critical path
              3.000s 100.0%  in all
              1.000s  33.3%  Compiling a
              2.000s  66.7%  Linking p

        Kinds of action
              2.000s  57.1%  1 CcLink
              1.500s  42.9%  2 LispCompile

        Slowest actions
              2.000s  57.1%  Linking p (CcLink)
              1.000s  28.6%  Compiling a (LispCompile)
              0.500s  14.3%  Compiling b (LispCompile)
        ");
    }

    #[test]
    fn what_is_no_profile_is_none() {
        for value in [json!([]), json!({}), json!({"traceEvents": []}), json!(1)] {
            assert_eq!(text(&value), None, "{value}");
        }
    }
}
