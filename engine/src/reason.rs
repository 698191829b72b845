//! Reasons: why an action was not found done, from the manifest of its last run and that of this one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use crate::digest::Fingerprint;
use crate::manifest::{ARGUMENT, Block, Cause, Entry, Manifest, ShortDigest, list_of};
use crate::manifest_log::ManifestLog;

/// A part of a command line that is shown is no longer.
const LONGEST: usize = 60;

/// Why an action was not found done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// In short.
    pub cause: Cause,
    /// What is not as it was last time, if that is why: the inputs that changed first.
    pub changes: Vec<Change>,
}

/// Something that is not as it was when an action ran last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An input.
    Input {
        /// Its exec path.
        path: String,
        /// Its value now; `None`: it is no input any more.
        now: Option<ShortDigest>,
        /// Its value last time; `None`: it was none.
        before: Option<ShortDigest>,
    },
    /// A part of the command line: those words that differ.
    Arguments {
        /// What stood there last time.
        before: Vec<String>,
        /// What stands there now.
        now: Vec<String>,
    },
    /// Another entry of the manifest; several entries of one name have as many values.
    Entry {
        /// Its name, such as `environment PATH`.
        name: String,
        /// Last time.
        before: Vec<String>,
        /// Now.
        now: Vec<String>,
    },
}

impl Reason {
    /// Why an action with the manifest `now` was not found done, given `cause` and the manifest of
    /// its last run.
    pub fn new(
        log: &ManifestLog,
        cause: Cause,
        before: Option<&Manifest>,
        now: &Manifest,
    ) -> Reason {
        if cause != Cause::Changed {
            return Reason { cause, changes: Vec::new() };
        }
        let changes = before.map(|before| changes(log, before, now)).unwrap_or_default();
        // Only a log that is damaged, or keeps no more, does not know what differs between two keys.
        let cause = if changes.is_empty() { Cause::NotOnRecord } else { cause };
        Reason { cause, changes }
    }
}

fn changes(log: &ManifestLog, before: &Manifest, now: &Manifest) -> Vec<Change> {
    let mut changes = input_changes(log, before.inputs, now.inputs);
    let mut entries = entry_changes(&before.entries, &now.entries);
    if before.block != now.block {
        let block = |manifest: &Manifest| log.block(&manifest.block);
        if let (Some(before), Some(now)) = (block(before), block(now)) {
            entries.extend(entry_changes(&before, &now));
        }
    }
    for change in &mut entries {
        if let Change::Arguments { before, now } = change {
            (*before, *now) = tell_lists(log, std::mem::take(before), std::mem::take(now));
        }
    }
    // That an input came or went is said already, wherever else it is named.
    let moved: Vec<&String> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Input { path, before, now } if before.is_none() || now.is_none() => Some(path),
            _ => None,
        })
        .collect();
    let says_more = |word: &String| !moved.iter().any(|path| word.contains(path.as_str()));
    let has_news = |change: &Change| match change {
        Change::Arguments { before, now } => {
            before.iter().chain(now).any(|word| !is_list(word) && says_more(word))
        }
        // So it is whenever the words are others.
        Change::Entry { name, .. } => name != "arguments",
        Change::Input { .. } => true,
    };
    if !changes.is_empty() || entries.iter().any(has_news) {
        entries.retain(has_news);
    } else if entries.len() > 1 {
        entries.retain(|change| matches!(change, Change::Arguments { .. }));
    }
    changes.append(&mut entries);
    changes
}

/// Whether a word of an outline stands for a list.
fn is_list(word: &str) -> bool {
    word.starts_with('…')
}

/// Words that differ, with what is only in one of them in the place of two lists.
fn tell_lists(
    log: &ManifestLog,
    before: Vec<String>,
    now: Vec<String>,
) -> (Vec<String>, Vec<String>) {
    if before.len() != now.len() {
        return (before, now);
    }
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (old, new) in before.iter().zip(&now) {
        match (list_of(old), list_of(new)) {
            (Some(old), Some(new)) => {
                let changes = input_changes(log, old, new);
                for change in changes {
                    match change {
                        Change::Input { path, now: None, .. } => gone.push(path),
                        Change::Input { path, .. } => come.push(path),
                        _ => {}
                    }
                }
            }
            _ if old == new => {}
            _ => {
                gone.push(old.clone());
                come.push(new.clone());
            }
        }
    }
    // Another order of the same words is all that is left.
    if gone.is_empty() && come.is_empty() { (before, now) } else { (gone, come) }
}

fn entry_changes(before: &Block, now: &Block) -> Vec<Change> {
    let mut changes = Vec::new();
    let words = |entries: &[Entry]| -> Vec<String> {
        let words = entries.iter().filter(|entry| entry.name == ARGUMENT);
        words.map(|entry| entry.value.clone()).collect()
    };
    let (old, new) = (words(before), words(now));
    if let Some((before, now)) = differing(&old, &new) {
        changes.push(Change::Arguments { before: before.to_vec(), now: now.to_vec() });
    }
    let mut by_name: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
    for (index, entries) in [before, now].into_iter().enumerate() {
        for entry in entries.iter().filter(|entry| entry.name != ARGUMENT) {
            by_name.entry(&entry.name).or_default()[index].push(entry.value.clone());
        }
    }
    for (name, [before, now]) in by_name {
        if before != now {
            changes.push(Change::Entry { name: name.to_owned(), before, now });
        }
    }
    changes
}

/// The middle parts of two lists, without what they begin and end with alike; `None` if that is all.
fn differing<'a>(before: &'a [String], now: &'a [String]) -> Option<(&'a [String], &'a [String])> {
    let start = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let (before, now) = (&before[start..], &now[start..]);
    let end = before.iter().rev().zip(now.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, now) = (&before[..before.len() - end], &now[..now.len() - end]);
    (!before.is_empty() || !now.is_empty()).then_some((before, now))
}

fn input_changes(log: &ManifestLog, before: Fingerprint, now: Fingerprint) -> Vec<Change> {
    if before == now {
        return Vec::new();
    }
    let (old, new) = (reachable(log, before), reachable(log, now));
    // What both have is as it was; only the nodes that one of them has alone can differ.
    let of = |nodes: &HashSet<Fingerprint>, without: Option<&HashSet<Fingerprint>>| {
        let mut values = HashMap::new();
        for name in nodes {
            if without.is_none_or(|without| !without.contains(name)) {
                values.extend(log.node(name).iter().flat_map(|node| node.own.iter().cloned()));
            }
        }
        values
    };
    let (mut gone, mut come) = (of(&old, Some(&new)), of(&new, Some(&old)));
    if gone.keys().any(|path| !come.contains_key(path))
        || come.keys().any(|path| !gone.contains_key(path))
    {
        // An input may have moved from one node to another.
        (gone, come) = (of(&old, None), of(&new, None));
    }
    let paths: BTreeSet<&String> = gone.keys().chain(come.keys()).collect();
    let mut changes: Vec<Change> = paths
        .into_iter()
        .map(|path| (path, gone.get(path).copied(), come.get(path).copied()))
        .filter(|(_, before, now)| before != now)
        .map(|(path, before, now)| Change::Input { path: path.clone(), before, now })
        .collect();
    // What was there before and has changed says more than what came with it.
    changes.sort_by_key(|change| {
        !matches!(change, Change::Input { before: Some(_), now: Some(_), .. })
    });
    let is_runfiles = |change: &Change| matches!(change, Change::Input { path, .. } if path.ends_with(".runfiles"));
    if !changes.iter().all(is_runfiles) {
        // What is in the tree was named.
        changes.retain(|change| !is_runfiles(change));
    }
    changes
}

fn reachable(log: &ManifestLog, from: Fingerprint) -> HashSet<Fingerprint> {
    let mut found = HashSet::new();
    let mut stack = vec![from];
    while let Some(name) = stack.pop() {
        if found.insert(name) {
            stack.extend(log.node(&name).iter().flat_map(|node| node.parts.iter().copied()));
        }
    }
    found
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Input { path, before, now } => match (before, now) {
                (Some(_), None) => write!(f, "`{path}` is no longer an input"),
                (None, _) => write!(f, "`{path}` is a new input"),
                (Some(_), Some(_)) if path.starts_with('/') => {
                    write!(f, "`{path}`, a part of the machine, changed")
                }
                (Some(_), Some(_)) => write!(f, "`{path}` changed"),
            },
            Change::Arguments { before, now }
                if before.iter().chain(now).all(|word| is_list(word)) =>
            {
                f.write_str("the command line changed: the same words in another order")
            }
            Change::Arguments { before, now } => {
                f.write_str("the command line changed: ")?;
                write_words(f, before, now)
            }
            Change::Entry { name, before, now } => {
                if let Some(variable) = name.strip_prefix("environment ") {
                    write!(f, "the environment variable `{variable}` changed: ")?;
                } else if let Some(requirement) = name.strip_prefix("requirement ") {
                    write!(f, "the execution requirement `{requirement}` changed: ")?;
                } else {
                    match name.as_str() {
                        "arguments" => return f.write_str("how the arguments are written changed"),
                        "format" | "conditions" => {
                            return f.write_str("this version of rbz runs actions in another way");
                        }
                        "strategy" => f.write_str("the sandbox changed: ")?,
                        "runfiles" | "target" => return write!(f, "its {name} changed"),
                        _ => write!(f, "its {name} changed: ")?,
                    }
                }
                write_words(f, before, now)
            }
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, before: &[String], now: &[String]) -> fmt::Result {
    let shown = |words: &[String]| {
        let words: Vec<&str> =
            words.iter().map(|word| if is_list(word) { "…" } else { word.as_str() }).collect();
        let text = words.join(" ").replace(['\n', '\t'], " ");
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    };
    match (before, now) {
        ([], now) => write!(f, "{} is new", shown(now)),
        (before, []) => write!(f, "{} is gone", shown(before)),
        (before, now) => write!(f, "{} -> {}", shown(before), shown(now)),
    }
}

/// The reason in one line, with every change.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::New => f.write_str("it was not done here before"),
            Cause::NotOnRecord => f.write_str("of what it was made last time is not on record"),
            Cause::FailedBefore => f.write_str("it failed last time"),
            Cause::OutputsGone => f.write_str(
                "nothing changed, but its output is neither there nor in the disk cache",
            ),
            Cause::RunAgain => f.write_str("results of this test are not used again"),
            Cause::Changed => {
                for (index, change) in self.changes.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "; " })?;
                    write!(f, "{change}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::InputNode;

    fn log() -> (tempfile::TempDir, ManifestLog) {
        let dir = tempfile::tempdir().unwrap();
        let log = ManifestLog::new(&dir.path().join("log"));
        (dir, log)
    }

    /// Adds a node of these inputs and parts, and yields its name.
    fn node(log: &ManifestLog, own: &[(&str, u8)], parts: &[Fingerprint]) -> Fingerprint {
        let name = Fingerprint::of(format!("{own:?} {parts:?}"));
        let digest = |value: u8| ShortDigest::from(Fingerprint([value; 32]));
        let own = own.iter().map(|(path, value)| (path.to_string(), digest(*value))).collect();
        log.add_shared(&[(name, InputNode { own, parts: parts.to_vec() })], None);
        name
    }

    fn manifest(log: &ManifestLog, entries: &[(&str, &str)], inputs: Fingerprint) -> Manifest {
        let entry =
            |(name, value): &(&str, &str)| Entry { name: (*name).into(), value: (*value).into() };
        let (own, block): (Vec<_>, Vec<_>) =
            entries.iter().map(entry).partition(|entry| entry.name == ARGUMENT);
        let name = Fingerprint::of(format!("{block:?}"));
        log.add_shared(&[], Some((name, block)));
        let key = Fingerprint::of(format!("{entries:?} {inputs}"));
        Manifest { key, entries: own, block: name, inputs }
    }

    fn why(before: &[(&str, &str)], now: &[(&str, &str)]) -> String {
        let (_dir, log) = log();
        let inputs = node(&log, &[], &[]);
        let [before, now] = [before, now].map(|entries| manifest(&log, entries, inputs));
        Reason::new(&log, Cause::Changed, Some(&before), &now).to_string()
    }

    #[test]
    fn words_and_variables_that_differ_are_named() {
        let (o2, o3) = ((ARGUMENT, "-O2"), (ARGUMENT, "-O3"));
        let (c, x) = ((ARGUMENT, "-c"), (ARGUMENT, "x.c"));
        assert_eq!(why(&[c, o2, x], &[c, o3, x]), "the command line changed: `-O2` -> `-O3`");
        assert_eq!(why(&[c, x], &[c, o3, x]), "the command line changed: `-O3` is new");
        assert_eq!(why(&[c, o2, o2], &[c, o2]), "the command line changed: `-O2` is gone");
        assert_eq!(
            why(&[("environment A", "1")], &[("environment A", "2"), ("environment B", "3")]),
            "the environment variable `A` changed: `1` -> `2`; \
             the environment variable `B` changed: `3` is new"
        );
        assert_eq!(
            why(&[("requirement no-cache", "")], &[]),
            "the execution requirement `no-cache` changed: `` is gone"
        );
        assert_eq!(why(&[], &[("strategy", "local")]), "the sandbox changed: `local` is new");
    }

    #[test]
    fn a_list_of_inputs_among_the_words_is_named_only_if_nothing_else_is() {
        fn list(end: &str) -> (&str, &str) {
            (ARGUMENT, end)
        }
        let (_dir, log) = log();
        let words = |words: &[&str], parts: &[Fingerprint]| {
            let words: Vec<(&str, u8)> = words.iter().map(|word| (*word, 0)).collect();
            node(&log, &words, parts)
        };
        let old = words(&["a", "b"], &[]);
        let why = |now: Fingerprint| {
            let inputs = node(&log, &[], &[]);
            let [before, now] = [old, now]
                .map(|name| manifest(&log, &[list("--load"), list(&format!("…{name}"))], inputs));
            Reason::new(&log, Cause::Changed, Some(&before), &now).to_string()
        };
        assert_eq!(why(words(&["c"], &[old])), "the command line changed: `c` is new");
        assert_eq!(why(words(&["a", "c"], &[])), "the command line changed: `b` -> `c`");
        assert_eq!(
            why(words(&["b", "a"], &[])),
            "the command line changed: the same words in another order"
        );
        let before = manifest(&log, &[list("…1")], node(&log, &[("a", 1)], &[]));
        let now = manifest(&log, &[list("…2")], node(&log, &[("a", 1), ("b", 1)], &[]));
        let reason = Reason::new(&log, Cause::Changed, Some(&before), &now);
        assert_eq!(reason.to_string(), "`b` is a new input");
    }

    #[test]
    fn inputs_are_compared_by_path_wherever_in_the_depset_they_are() {
        let (_dir, log) = log();
        let shared = node(&log, &[("same", 1)], &[]);
        let before = node(&log, &[("a", 1), ("gone", 1), ("moved", 1), ("/bin/cc", 1)], &[shared]);
        let inner = node(&log, &[("moved", 1)], &[]);
        let now = node(&log, &[("a", 2), ("new", 1), ("/bin/cc", 2)], &[shared, inner]);
        let [before, now] = [before, now].map(|inputs| manifest(&log, &[], inputs));
        let reason = Reason::new(&log, Cause::Changed, Some(&before), &now);
        assert_eq!(
            reason.to_string(),
            "`/bin/cc`, a part of the machine, changed; `a` changed; \
             `gone` is no longer an input; `new` is a new input"
        );
    }

    #[test]
    fn a_log_that_lost_its_nodes_says_so() {
        let (_dir, log) = log();
        let lost = manifest(&log, &[], Fingerprint::of("lost"));
        let other = manifest(&log, &[], Fingerprint::of("lost too"));
        let reason = Reason::new(&log, Cause::Changed, Some(&lost), &other);
        assert_eq!(reason.to_string(), "of what it was made last time is not on record");
    }

    #[test]
    fn long_words_are_cut() {
        let long = "x".repeat(100);
        let text = why(&[(ARGUMENT, &long)], &[(ARGUMENT, "y")]);
        assert_eq!(text, format!("the command line changed: `{}…` -> `y`", "x".repeat(60)));
    }
}
