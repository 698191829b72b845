//! What a rebuild was, as text: for each change that began something, the way from it to the target.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rbz_engine::manifest::{BuildNote, Cause, Outcome};
use rbz_engine::plan::Plan;
use rbz_engine::rebuild::{Made, Rebuild, Step};

use crate::directories::OUTPUT_DIRECTORY;
use crate::explain_file;
use crate::progress::count;

/// Of actions that began for one reason, and nothing came of them but their outputs, as many are named.
const MOST: usize = 5;

/// The text about `target`, at `now` since 1970. `verbose`: every step, and why it was done.
pub fn text(
    target: &str,
    plan: &Plan,
    build: &BuildNote,
    rebuild: &Rebuild,
    now: Duration,
    verbose: bool,
) -> String {
    let story = Story { plan, steps: &rebuild.steps };
    let done = rebuild.steps.iter().filter(|step| step.earlier.is_none()).count();
    let begun = Duration::from_nanos(build.begun);
    let mut text = format!(
        "`{target}` was last built by `{}`, {} ago: {done} of {}\n",
        build.command,
        ago(now.saturating_sub(begun)),
        count(rebuild.actions, "action"),
    );
    for (root, begins) in story.groups() {
        text += &format!("\n{root}\n");
        let after = story.after(&begins);
        let named: Vec<usize> =
            if verbose { after.keys().copied().collect() } else { story.way(&begins, &after) };
        for index in &named {
            text += &format!("  {}\n", story.line(*index, verbose));
        }
        let rest: Vec<usize> = after.keys().copied().filter(|step| !named.contains(step)).collect();
        let ended = rest.iter().filter(|index| rebuild.steps[**index].made == Made::Same).count();
        if !rest.is_empty() {
            let ended = match ended {
                0 => String::new(),
                number => format!(", {number} of which wrote what they had written before"),
            };
            let more = count(rest.len(), "more action");
            text += &format!("  and {more}{ended} (`--verbose_explanations` names all)\n");
        }
    }
    story.shown(&text)
}

struct Story<'a> {
    plan: &'a Plan,
    steps: &'a [Step],
}

impl Story<'_> {
    /// What it began with, in the order of the steps, and the steps that began with it.
    fn groups(&self) -> Vec<(String, Vec<usize>)> {
        let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
        let mut add = |root: String, index| match groups.iter_mut().find(|(name, _)| *name == root)
        {
            Some((_, indexes)) => indexes.push(index),
            None => groups.push((root, vec![index])),
        };
        for (index, step) in self.steps.iter().enumerate() {
            match step.reason.cause {
                Cause::Changed => {
                    step.roots.iter().for_each(|change| add(change.to_string(), index));
                }
                Cause::New => add("done here for the first time".to_owned(), index),
                Cause::FailedBefore => add("failed last time".to_owned(), index),
                _ => add(step.reason.to_string(), index),
            }
        }
        groups
    }

    /// The steps that began with these, themselves included; each with the one before it on the
    /// shortest way.
    fn after(&self, begins: &[usize]) -> BTreeMap<usize, Option<usize>> {
        let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            step.from.iter().for_each(|maker| readers.entry(*maker).or_default().push(index));
        }
        let mut found: BTreeMap<usize, Option<usize>> =
            begins.iter().map(|begin| (*begin, None)).collect();
        // What began with this alone shows the way better than what had other reasons too.
        let mut sorted = begins.to_vec();
        sorted.sort_by_key(|begin| self.steps[*begin].reason.changes.len());
        let mut waiting = VecDeque::from(sorted);
        while let Some(index) = waiting.pop_front() {
            for reader in readers.get(&index).into_iter().flatten() {
                if let std::collections::btree_map::Entry::Vacant(entry) = found.entry(*reader) {
                    entry.insert(Some(index));
                    waiting.push_back(*reader);
                }
            }
        }
        found
    }

    /// The shortest way to the last of the steps; where nothing came of the first ones, some of them.
    fn way(&self, begins: &[usize], after: &BTreeMap<usize, Option<usize>>) -> Vec<usize> {
        if begins.len() == after.len() {
            return begins.iter().take(MOST).copied().collect();
        }
        let last = after.keys().next_back().copied();
        let mut way: Vec<usize> =
            std::iter::successors(last, |index| after.get(index).copied().flatten()).collect();
        way.reverse();
        way
    }

    /// One step, and what came of it.
    fn line(&self, index: usize, verbose: bool) -> String {
        let step = &self.steps[index];
        let action = self.plan.action(step.action);
        let made = match &step.made {
            Made::Nothing => "failed".to_owned(),
            Made::New => format!("wrote `{}`", action.primary()),
            Made::Same => "wrote what it had written before, and nothing followed from it".into(),
            Made::Other(paths) => {
                let first = paths.first().map_or("", String::as_str);
                match paths.len() {
                    1 => format!("`{first}` changed"),
                    more => format!("`{first}` and {} changed", count(more - 1, "other file")),
                }
            }
        };
        let mut line = format!("{}: {made}", action.description());
        if step.outcome == Outcome::CacheHit {
            line += " (from the disk cache)";
        }
        if let Some(earlier) = &step.earlier {
            line += &format!(" (in an earlier build, `{}`)", earlier.command);
        }
        if verbose {
            line += &format!("\n    {} of {}: ", action.mnemonic, action.owner);
            line += &explain_file::text(&step.reason, true);
        }
        line
    }

    /// Texts with the paths of outputs as they are below `rbz-bin`.
    fn shown(&self, text: &str) -> String {
        match self.plan.requested.first() {
            Some(target) => {
                text.replace(&format!("{OUTPUT_DIRECTORY}/{}/bin/", target.configuration), "")
            }
            None => text.to_owned(),
        }
    }
}

/// A length of time in its greatest unit.
fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    // A build last year is not told from one the year before.
    let number = |of: u64| usize::try_from(seconds / of).unwrap_or(usize::MAX);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => count(number(60), "minute"),
        7200..172_800 => count(number(3600), "hour"),
        _ => count(number(86_400), "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_greatest_unit() {
        let told = [0, 119, 120, 7199, 7200, 172_800].map(|s| ago(Duration::from_secs(s)));
        assert_eq!(told, ["0s", "119s", "2 minutes", "119 minutes", "2 hours", "2 days"]);
    }
}
