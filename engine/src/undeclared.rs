//! Undeclared inputs: what a failed action looked for that is there, but was not declared.

use std::collections::BTreeSet;
use std::path::Path;

use crate::action::Action;
use crate::failure::UndeclaredInput;
use crate::files::{self, Kind};
use crate::label::{Label, PackageId, RepoName, join};
use crate::paths::{is_below, normal, parent};
use crate::plan::Plan;
use crate::strategy::{Completed, EXEC_ROOT, StagedInput};

/// What the C library says of a file that is not there.
const NO_SUCH_FILE: &str = "No such file or directory";

/// More are of no help.
const LIMIT: usize = 10;

/// What the process of `action` missed that exists in the workspace, in one of its repositories,
/// among the outputs of other actions, or elsewhere on the machine (then without a label).
pub fn find_undeclared(
    plan: &Plan,
    action: &Action,
    inputs: &[StagedInput],
    completed: &Completed,
) -> Vec<UndeclaredInput> {
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
        let Some(path) = exec_path(plan, &path) else { continue };
        if !seen.insert(path.clone()) || is_input(inputs, &path) {
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
    let (before, after) = line.split_once(NO_SUCH_FILE)?;
    // Python puts the path after it.
    let quotes = ['\'', '"', '`', '‘', '’'];
    let between = |text: &str| {
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

/// The directory of the file in which a line such as `lib/x.h:1:10: error: …` finds something wrong.
fn directory_of_place(line: &str) -> Option<&str> {
    let (file, rest) = line.split_once(':')?;
    let (line_number, _) = rest.split_once(':')?;
    let is_place = !line_number.is_empty() && line_number.bytes().all(|b| b.is_ascii_digit());
    let (directory, _) = file.rsplit_once('/')?;
    is_place.then_some(directory)
}

/// The path relative to the execution root if it lies below it, else absolute; `None` if it is
/// none of either.
fn exec_path(plan: &Plan, path: &str) -> Option<String> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let relative = match path.strip_prefix(EXEC_ROOT) {
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
    normal("", relative).filter(|path| !path.is_empty())
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
        ] {
            assert_eq!(missed_in_line(line).as_deref(), Some(path), "{line}");
        }
        assert_eq!(missed_in_line("all is well"), None);
        let line = "lib/a.h:1:10: fatal error: b.h: No such file or directory";
        assert_eq!(directory_of_place(line), Some("lib"));
        assert_eq!(directory_of_place("cat: lib/a.h: No such file or directory"), None);
    }
}
