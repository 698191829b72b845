//! Loads: at the top, one for each file, sorted by file and by name.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::file_kind::FileKind;
use crate::syntax::{Comments, File, Load, LoadedName, Node, Syntax};

/// Puts the loads of `file` in order.
pub fn arrange(file: &mut File, kind: FileKind) {
    // Repositories are declared and loaded from by turns.
    if kind != FileKind::Workspace && !says_anywhere(file, "disable=load-on-top") {
        move_to_top(&mut file.statements);
    }
    merge(&mut file.statements);
    if !says_anywhere(file, "disable=out-of-order-load") {
        let is_load = |node: &Node| node.as_load().is_some();
        for run in file.statements.chunk_by_mut(|a, b| is_load(a) && is_load(b)) {
            run.sort_by(|a, b| match (a.as_load(), b.as_load()) {
                (Some(a), Some(b)) => compare_modules(&module(a), &module(b)),
                _ => Ordering::Equal,
            });
        }
    }
    file.walk(&mut |node| {
        if let Syntax::Load(load) = &mut node.syntax {
            sort_names(&mut load.names);
        }
    });
}

fn says_anywhere(file: &mut File, words: &str) -> bool {
    let mut found = file.comments.say(words);
    file.walk(&mut |node| found |= node.comments.say(words));
    found
}

fn module(load: &Load) -> String {
    let value = load.module.as_text().map(|text| text.value.as_slice());
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

/// Moves the loads that follow other statements before the first of those.
fn move_to_top(statements: &mut Vec<Node>) {
    let may_be_first = |node: &Node| match &node.syntax {
        Syntax::Text(_) | Syntax::CommentBlock(_) | Syntax::Load(_) => true,
        Syntax::Call(call) => call.function.as_name() == Some("workspace"),
        _ => false,
    };
    let Some(first) = statements.iter().position(|node| !may_be_first(node)) else { return };
    let tail = statements.split_off(first);
    let (mut loads, mut others): (Vec<_>, Vec<_>) =
        tail.into_iter().partition(|node| node.as_load().is_some());
    statements.append(&mut loads);
    statements.append(&mut others);
}

/// Makes one of the loads of a file. The comments of those that go are kept.
fn merge(statements: &mut Vec<Node>) {
    const APART: &str = "disable=same-origin-load";
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(statements.len());
    for mut statement in std::mem::take(statements) {
        let module = statement.as_load().map(module);
        let known = module.as_ref().and_then(|module| first.get(module)).copied();
        let apart =
            |known: &usize| kept[*known].comments.say(APART) || statement.comments.say(APART);
        if let Some(known) = known.filter(|known| !apart(known))
            && let Syntax::Load(load) = &mut statement.syntax
            && let Node { syntax: Syntax::Load(target), comments } = &mut kept[known]
        {
            target.names.append(&mut load.names);
            comments.absorb(std::mem::take(&mut statement.comments));
            let Comments { before, suffix, .. } = std::mem::take(&mut load.module.comments);
            target.module.comments.before.extend(before);
            target.module.comments.suffix.extend(suffix);
            target.close.comments.absorb(std::mem::take(&mut load.close.comments));
            continue;
        }
        if let (Some(module), None) = (module, known) {
            first.insert(module, kept.len());
        }
        kept.push(statement);
    }
    *statements = kept;
}

/// Names that stay what they are come first. Of two with the same name the later one counts.
fn sort_names(names: &mut Vec<LoadedName>) {
    let key = |name: &LoadedName| {
        let [own, there] = [&name.own, &name.there].map(|node| node.as_name().unwrap_or_default());
        (own != there, own.to_owned())
    };
    names.sort_by_cached_key(key);
    names.dedup_by(|later, first| {
        let same = later.own.as_name() == first.own.as_name();
        if same {
            std::mem::swap(later, first);
            first.own.comments.absorb(std::mem::take(&mut later.own.comments));
            first.there.comments.absorb(std::mem::take(&mut later.there.comments));
        }
        same
    });
}

/// Other repositories first, then the top package, other packages, and files of the own one.
fn compare_modules(first: &str, second: &str) -> Ordering {
    let local = |label: &str| !label.starts_with('@');
    let [a, b] = [first, second].map(ModuleName::of);
    local(first)
        .cmp(&local(second))
        .then_with(|| a.repository.cmp(&b.repository))
        .then_with(|| a.own.cmp(&b.own))
        .then_with(|| b.package.is_empty().cmp(&a.package.is_empty()))
        .then_with(|| compare_paths(&a.package, &b.package))
        .then_with(|| compare_paths(&a.name, &b.name))
}

struct ModuleName {
    repository: String,
    /// It is one of the package that loads it.
    own: bool,
    package: String,
    name: String,
}

impl ModuleName {
    fn of(label: &str) -> Self {
        let (repository, path) = match label.strip_prefix('@') {
            Some(rest) => match rest.trim_start_matches('@').split_once('/') {
                Some((repository, path)) => (repository, path.strip_prefix('/').unwrap_or(path)),
                None => (rest.trim_start_matches('@'), ""),
            },
            None => match label.strip_prefix("//") {
                Some(path) => ("", path),
                None => {
                    let name = label.trim_start_matches(':').to_owned();
                    let (repository, package) = (String::new(), String::new());
                    return ModuleName { repository, own: true, package, name };
                }
            },
        };
        let (package, name) = match path.split_once(':') {
            Some((package, name)) if !name.is_empty() => (package, name),
            _ => {
                let package = path.trim_end_matches(':');
                (package, package.rsplit('/').next().unwrap_or(package))
            }
        };
        let [repository, package, name] = [repository, package, name].map(str::to_owned);
        ModuleName { repository, own: false, package, name }
    }
}

/// Compares directory by directory, without regard to case unless nothing else differs.
fn compare_paths(first: &str, second: &str) -> Ordering {
    let folded = |path: &str| path.split('/').map(str::to_lowercase).collect::<Vec<_>>();
    folded(first).cmp(&folded(second)).then_with(|| first.cmp(second))
}
