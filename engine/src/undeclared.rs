//! Undeclared inputs: what a failed action looked for that is there, but was not declared.

use std::collections::BTreeSet;
use std::path::Path;

use crate::action::Action;
use crate::failure::UndeclaredInput;
use crate::files::{self, Kind};
use crate::label::{Label, PackageId, RepoName, join};
use crate::paths::{is_below, normal, parent};
use crate::plan::Plan;
use crate::strategy::{Completed, EXEC_ROOT, PreparedSpawn, StagedInput};

/// What the C library says of a file that is not there, and of one that may not be opened: some
/// sandboxes refuse what is not declared.
const MISSED: [&str; 2] = ["No such file or directory", "Permission denied"];

/// More are of no help.
const LIMIT: usize = 10;

/// What the process of `action` missed that exists in the workspace, in one of its repositories,
/// among the outputs of other actions, or elsewhere on the machine (then without a label).
pub fn find_undeclared(
    plan: &Plan,
    action: &Action,
    prepared: &PreparedSpawn,
    completed: &Completed,
) -> Vec<UndeclaredInput> {
    let inputs = &prepared.inputs;
    let runfiles = Runfiles::of(action, prepared);
    let mut paths: Vec<String> = completed.missed.clone();
    for output in [&completed.stderr, &completed.stdout] {
        let text = String::from_utf8_lossy(output);
        for line in text.lines() {
            let Some(path) = missed_in_line(line) else { continue };
            // A file that names another may mean one beside itself.
            paths.extend(directory_of_place(line).map(|directory| join(directory, &path)));
            paths.push(path);
        }
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let exec_root = completed.exec_root.to_str().unwrap_or(EXEC_ROOT);
        let Some(path) = exec_path(plan, &path, exec_root, runfiles.as_ref()) else { continue };
        if !seen.insert(path.clone()) {
            continue;
        }
        if let Some(runfiles) = &runfiles {
            found.extend(runfiles.missing(plan, action, inputs, &path));
            continue;
        }
        if is_input(inputs, &path) {
            continue;
        }
        let in_package = join(&action.owner.package().exec_dir(), &path);
        let undeclared = locate(plan, action, &path).or_else(|| {
            // Programs are often given names as they stand in the BUILD file.
            (!is_input(inputs, &in_package)).then(|| locate(plan, action, &in_package)).flatten()
        });
        found.extend(undeclared);
        if found.len() == LIMIT {
            break;
        }
    }
    found
}

/// The path in a line such as `cat: pkg/file: No such file or directory`.
fn missed_in_line(line: &str) -> Option<String> {
    let (before, after) = MISSED.iter().find_map(|text| line.split_once(text))?;
    // Python puts the path after it.
    let quotes = ['\'', '"', '`', '‘', '’'];
    let between = |text: &str| {
        if let Some(start) = text.find('\'')
            && let Some(name) = unescaped(&text[start..])
        {
            return Some(name);
        }
        let start = text.find(quotes)?;
        let rest = text[start..].trim_start_matches(quotes);
        Some(rest[..rest.find(quotes)?].to_owned())
    };
    if let Some(after) = after.strip_prefix(": ") {
        return between(after).or_else(|| Some(after.trim().to_owned()));
    }
    let before = before.trim_end_matches(['(', ' ', ':']);
    let last = before.rsplit(": ").next()?;
    if let Some(path) = between(last) {
        return Some(path);
    }
    let path = match before.contains(": ") {
        true => last,
        false => last.split_whitespace().next_back()?,
    };
    // In `cannot open x` nothing marks off the path.
    let path = match path.rsplit_once(' ') {
        Some((words, last)) if !words.contains('/') => last,
        _ => path,
    };
    (!path.is_empty()).then(|| path.to_owned())
}

/// A name as coreutils write one with letters that the locale does not have, for a shell:
/// `'caf'$'\303\251'`. `None` if it is no such name.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        let (quoted, is_escaped) = match rest.strip_prefix("$'") {
            Some(quoted) => (quoted, true),
            None => (rest.strip_prefix('\'')?, false),
        };
        let (mut part, after) = quoted.split_once('\'')?;
        rest = after;
        while let Some((before, escape)) = part.split_once('\\').filter(|_| is_escaped) {
            bytes.extend(before.bytes());
            bytes.push(u8::from_str_radix(escape.get(..3)?, 8).ok()?);
            part = &escape[3..];
        }
        bytes.extend(part.bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The directory of the file in which a line such as `lib/x.h:1:10: error: …` finds something wrong.
fn directory_of_place(line: &str) -> Option<&str> {
    let (file, rest) = line.split_once(':')?;
    let (line_number, _) = rest.split_once(':')?;
    let is_place = !line_number.is_empty() && line_number.bytes().all(|b| b.is_ascii_digit());
    let (directory, _) = file.rsplit_once('/')?;
    is_place.then_some(directory)
}

/// The tree of runfiles that a test runs in. What is not in it is not declared, whatever else the
/// test can see.
struct Runfiles<'a> {
    /// Where it runs: the directory of the workspace in the tree.
    workspace: &'a str,
    /// The outputs of the test's configuration.
    outputs: String,
}

impl<'a> Runfiles<'a> {
    /// The runfiles of an action; `None` if it runs at the execution root.
    fn of(action: &Action, prepared: &'a PreparedSpawn) -> Option<Runfiles<'a>> {
        let workspace = &*prepared.working_directory;
        let outputs = format!("rbz-out/{}/bin", action.configuration);
        let is_relative = !workspace.is_empty() && !workspace.starts_with('/');
        is_relative.then_some(Runfiles { workspace, outputs })
    }

    /// What lies at `path` in the execution root, as a file of the workspace or of a repository.
    fn exec_path(&self, path: &str) -> String {
        let below = |path: &str, directory: &str| match is_below(path, directory) {
            true => path.get(directory.len() + 1..).map(str::to_owned),
            false => None,
        };
        let in_repository = || Some(format!("external/{}", below(path, parent(self.workspace))?));
        below(path, self.workspace).or_else(in_repository).unwrap_or_else(|| path.to_owned())
    }

    /// What is at `path`, if it is not among the runfiles.
    fn missing(
        &self,
        plan: &Plan,
        action: &Action,
        inputs: &[StagedInput],
        path: &str,
    ) -> Option<UndeclaredInput> {
        if path.starts_with('/') {
            return locate(plan, action, path);
        }
        let staged = match path.strip_prefix("external/") {
            Some(inside) => join(parent(self.workspace), inside),
            None => join(self.workspace, path),
        };
        if is_input(inputs, &staged) {
            return None;
        }
        locate(plan, action, path).or_else(|| {
            let made = locate(plan, action, &join(&self.outputs, path))?;
            Some(UndeclaredInput { path: path.to_owned(), ..made })
        })
    }
}

/// The path relative to the execution root if it lies below it, else absolute; `None` if it is
/// none of either. What lies in `runfiles` is as if it lay at the execution root, which the process
/// saw at `exec_root`.
fn exec_path(
    plan: &Plan,
    path: &str,
    exec_root: &str,
    runfiles: Option<&Runfiles>,
) -> Option<String> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let relative = match path.strip_prefix(exec_root) {
        Some(rest) => rest.strip_prefix('/')?,
        None if path.starts_with('/') => {
            // The innermost repository has it.
            let inside = plan.repositories.iter().filter_map(|(repo, root)| {
                let rest = Path::new(path).strip_prefix(root).ok()?.to_str()?;
                Some((rest.len(), PackageId::new(repo.clone(), rest).exec_dir()))
            });
            return Some(inside.min().map_or_else(|| path.to_owned(), |(_, path)| path));
        }
        None => path,
    };
    let at_exec_root = relative.len() < path.len();
    let path = match runfiles {
        Some(runfiles) => {
            let from = if at_exec_root { "" } else { runfiles.workspace };
            runfiles.exec_path(&normal(from, relative)?)
        }
        None => normal("", relative)?,
    };
    (!path.is_empty()).then_some(path)
}

/// True for an input, and for a directory with inputs in it.
fn is_input(inputs: &[StagedInput], path: &str) -> bool {
    inputs.iter().any(|input| is_below(&input.path, path))
}

fn locate(plan: &Plan, action: &Action, path: &str) -> Option<UndeclaredInput> {
    let undeclared = |label| Some(UndeclaredInput { path: path.to_owned(), label });
    if path.starts_with('/') {
        let exists = files::stat(Path::new(path), true).is_ok_and(|stat| stat.is_some());
        // The fixed directories of the sandbox are not those of the machine.
        let is_ours = ["/tmp/", "/proc/", "/dev/", "/rbz/"].iter().any(|p| path.starts_with(p));
        return if exists && !is_ours { undeclared(None) } else { None };
    }
    if path.starts_with("rbz-out/") {
        let mut above = path;
        loop {
            if let Some(id) = plan.generating_path(above) {
                let maker = plan.action(id);
                let is_own = maker.outputs.iter().any(|o| action.outputs.contains(o));
                return if is_own { None } else { undeclared(Some(maker.owner.clone())) };
            }
            above = parent(above);
            if above.is_empty() {
                // Not of this request, but an earlier one may have made it.
                return undeclared(Some(made_before(plan, path)?));
            }
        }
    }
    let (repo, inside) = match path.strip_prefix("external/") {
        Some(rest) => {
            let (repo, inside) = rest.split_once('/')?;
            (RepoName::new(repo), inside)
        }
        None => (RepoName::main(), path),
    };
    let root = plan.repositories.get(&repo)?;
    let is_file = |path: &Path| matches!(files::stat(path, true), Ok(Some((Kind::File { .. }, _))));
    if !is_file(&root.join(inside)) {
        return None;
    }
    undeclared(label_of(root, repo, inside, &is_file))
}

/// The label of the generated file at `path`, if an earlier build left it in the output tree.
fn made_before(plan: &Plan, path: &str) -> Option<Label> {
    let root = plan.repositories.get(&RepoName::main())?;
    let is_file = |path: &Path| matches!(files::stat(path, true), Ok(Some((Kind::File { .. }, _))));
    // The workspace has a link to the output tree: rbz-out/CONFIGURATION/bin/PATH.
    if !is_file(&root.join(path)) {
        return None;
    }
    label_of(root, RepoName::main(), path.splitn(4, '/').nth(3)?, &is_file)
}

/// The label of a source file: its package is the nearest directory with a BUILD file.
fn label_of(
    root: &Path,
    repo: RepoName,
    path: &str,
    is_file: &dyn Fn(&Path) -> bool,
) -> Option<Label> {
    let mut package = parent(path);
    loop {
        let dir = root.join(package);
        if is_file(&dir.join("BUILD.bazel")) || is_file(&dir.join("BUILD")) {
            let name = path[package.len()..].trim_start_matches('/');
            return Some(PackageId::new(repo, package).label(name));
        }
        if package.is_empty() {
            return None;
        }
        package = parent(package);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_found_in_what_programs_say() {
        for (line, path) in [
            ("cat: pkg/file: No such file or directory", "pkg/file"),
            ("cat: a file.txt: No such file or directory", "file.txt"),
            ("cat: pkg/a file: No such file or directory", "pkg/a file"),
            ("ls: cannot access 'x y': No such file or directory", "x y"),
            ("/bin/sh: 1: cannot open x: No such file or directory", "x"),
            ("bash: line 1: ./run.sh: No such file or directory", "./run.sh"),
            ("a.c:1:10: fatal error: b.h: No such file or directory", "b.h"),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'd/x.txt'", "d/x.txt"),
            ("diff: /usr/share/x: No such file or directory", "/usr/share/x"),
            ("cat: /some/where/b.txt: Permission denied", "/some/where/b.txt"),
            (r"cat: '/h'$'\303\266''me/b c.txt': Permission denied", "/höme/b c.txt"),
            (r"cat: ''$'\303\244': No such file or directory", "ä"),
            (r"cat: 'a'$'\303\2x': No such file or directory", "a"),
            ("a.c:1:10: fatal error: /usr/include/b.h: Permission denied", "/usr/include/b.h"),
        ] {
            assert_eq!(missed_in_line(line).as_deref(), Some(path), "{line}");
        }
        assert_eq!(missed_in_line("all is well"), None);
        let line = "lib/a.h:1:10: fatal error: b.h: No such file or directory";
        assert_eq!(directory_of_place(line), Some("lib"));
        assert_eq!(directory_of_place("cat: lib/a.h: No such file or directory"), None);
    }
}
