//! Targets that are not there: why, and what the user may have meant.

use std::path::Path;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::{Label, PackageId, join};

use crate::loader::Loader;
use crate::nearest::nearest;
use crate::package::Package;
use crate::source_tree::SourceTree;

/// In how many directories a file that is missing is looked for.
const MAX_NEIGHBOURS: usize = 100;

impl Loader {
    /// The error for `label`, which `package` does not declare. It does not say who asked.
    pub(crate) fn no_such_target(&self, label: &Label, package: &Package) -> Diagnostic {
        let mut tree = SourceTree::new(self.files().clone());
        let found = self.repository_root(&package.id.repo).and_then(|root| {
            Ok(Search { label, package, root: &root, tree: &mut tree }.diagnostic()?)
        });
        self.note_dependencies(&tree);
        // What the disk does not tell is no reason for another error.
        found.unwrap_or_else(|_| undeclared(label, package))
    }
}

fn undeclared(label: &Label, package: &Package) -> Diagnostic {
    Diagnostic::user(format!(
        "there is no target `{label}`: `{}` declares none of that name",
        package.build_file
    ))
}

/// A search for what `label` may mean.
struct Search<'a> {
    label: &'a Label,
    package: &'a Package,
    /// The directory of the repository.
    root: &'a Path,
    tree: &'a mut SourceTree,
}

impl Search<'_> {
    fn diagnostic(mut self) -> Result<Diagnostic, Diagnostic> {
        let (label, build_file) = (self.label, &self.package.build_file);
        let directory = self.root.join(&*self.package.id.path);
        for (at, _) in label.name().match_indices('/') {
            let (above, rest) = (&label.name()[..at], &label.name()[at + 1..]);
            if self.tree.build_file(&directory.join(above))?.is_some() {
                let id = &self.package.id;
                let below = PackageId::new(id.repo.clone(), &join(&id.path, above));
                return Ok(Diagnostic::user(format!(
                    "there is no target `{label}`: `{}` is a package of its own",
                    below.exec_dir()
                ))
                .hint(format!("write `{}`", below.label(rest))));
            }
        }
        if self.tree.is_source(&directory, label.name())? {
            let message = format!(
                "there is no target `{label}`: the file is there, but `{build_file}` does not export it"
            );
            let hint = format!("add `exports_files([\"{}\"])` to `{build_file}`", label.name());
            return Ok(Diagnostic::user(message).hint(hint));
        }
        let mut diagnostic = match is_file_name(label.name()) {
            false => undeclared(label, self.package),
            true => Diagnostic::user(format!(
                "there is no file `{}`, and `{build_file}` declares no target `{}`",
                join(&self.package.id.exec_dir(), label.name()),
                label.name()
            )),
        };
        diagnostic.hints.extend(self.meant(&directory)?);
        Ok(diagnostic)
    }

    /// What the user may have meant: a target or file of the package, or a file of another one.
    fn meant(&mut self, directory: &Path) -> Result<Option<String>, Diagnostic> {
        let name = self.label.name();
        let (below, base) = name.rsplit_once('/').unwrap_or(("", name));
        let files = self.names(&directory.join(below), EntryKind::File)?;
        let files = files.iter().map(|file| join(below, file)).collect::<Vec<_>>();
        let targets = self.package.targets.keys().map(|name| &**name);
        let names: Vec<&str> = targets.chain(files.iter().map(String::as_str)).collect();
        if let Some(same) = names.iter().find(|other| other.eq_ignore_ascii_case(name)) {
            return Ok(Some(format!("did you mean `{same}`? Capital letters count")));
        }
        if let Some(near) = nearest(name, names) {
            return Ok(Some(format!("did you mean `{near}`?")));
        }
        if !is_file_name(name) {
            return Ok(None);
        }
        self.elsewhere(directory, base)
    }

    /// A hint at a file of the same name in a directory below, above or beside the package.
    fn elsewhere(&mut self, directory: &Path, base: &str) -> Result<Option<String>, Diagnostic> {
        let own = &*self.package.id.path;
        let below = self.names(directory, EntryKind::Directory)?;
        let mut places: Vec<String> = below.iter().map(|name| join(own, name)).collect();
        if !own.is_empty() {
            let above = own.rsplit_once('/').map_or("", |(above, _)| above);
            places.push(above.to_owned());
            let beside = self.names(&self.root.join(above), EntryKind::Directory)?;
            places.extend(beside.iter().map(|name| join(above, name)).filter(|path| path != own));
        }
        for (number, path) in places.into_iter().take(MAX_NEIGHBOURS).enumerate() {
            let there = self.root.join(&path);
            if self.tree.kind(&there.join(base))? != EntryKind::File {
                continue;
            }
            let other = PackageId::new(self.package.id.repo.clone(), &path);
            return Ok(Some(match self.tree.build_file(&there)? {
                Some(_) => format!("did you mean `{}`?", other.label(base)),
                None if number < below.len() => {
                    format!("did you mean `{}`?", join(&below[number], base))
                }
                None => format!(
                    "there is `{}`, but in no package: add a BUILD file beside it",
                    join(&other.exec_dir(), base)
                ),
            }));
        }
        Ok(None)
    }

    /// The names of the entries of one kind in a directory.
    fn names(&mut self, directory: &Path, kind: EntryKind) -> Result<Vec<String>, Diagnostic> {
        if self.tree.kind(directory)? != EntryKind::Directory {
            return Ok(vec![]);
        }
        let listing = self.tree.list(directory)?;
        let entries = listing.entries.iter().filter(|entry| entry.kind == kind);
        Ok(entries.map(|entry| entry.name.to_string()).collect())
    }
}

/// Whether a name looks like that of a file.
fn is_file_name(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    base.trim_start_matches('.').contains('.')
}
