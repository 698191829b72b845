//! Target patterns: what a user writes on the command line, and the targets that it means.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use rayon::prelude::*;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::{Label, PackageId, RepoName, check_package, join};

use crate::attr::{AttrValue, Configurable};
use crate::loader::Loader;
use crate::nearest;
use crate::package::{Package, Target, TargetKind};
use crate::source_tree::SourceTree;

/// One target pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPattern {
    /// One target.
    Target(Label),
    /// The targets of one package.
    Package(PackageId, Targets),
    /// The targets of all packages at and below a directory.
    Below(PackageId, Targets),
    /// A path without `//` and `:`, relative to the root of the main repository: a package, or a
    /// target whose package is one of the directories above.
    Path(String),
}

/// Which targets of a package a pattern means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Those of rules (`:all`).
    Rules,
    /// Files too (`:*`, `:all-targets`).
    All,
}

/// The targets that patterns mean.
#[derive(Debug, Default)]
pub struct Expansion {
    /// In order, each once. The flag says that the user named it, not only its package.
    pub targets: IndexMap<Label, bool>,
    /// What is wrong: patterns that mean nothing, packages that do not load.
    pub errors: Vec<Diagnostic>,
}

impl TargetPattern {
    /// The pattern that `text` is in the directory `directory` of the main repository.
    pub fn parse(
        text: &str,
        directory: &str,
        loader: &Loader,
    ) -> Result<TargetPattern, Diagnostic> {
        let error =
            |reason: &str| Diagnostic::user(format!("`{text}` is no target pattern: {reason}"));
        let absolute = text.starts_with("//") || text.starts_with('@');
        let (package, name) = match text.split_once(':') {
            Some((package, name)) => (package, Some(name)),
            None => (text, None),
        };
        if text.is_empty() || name == Some("") {
            return Err(error("it names no target"));
        }
        let targets = match name {
            Some("all") => Some(Targets::Rules),
            Some("*" | "all-targets") => Some(Targets::All),
            _ => None,
        };
        let from = PackageId::new(RepoName::main(), directory);
        if package == "..." || package.ends_with("/...") {
            let package = package.strip_suffix("...").unwrap_or(package);
            let targets = match (name, targets) {
                (None, _) => Targets::Rules,
                (Some(_), Some(targets)) => targets,
                (Some(_), None) => return Err(error("after `...` only `:all` or `:*` can stand")),
            };
            let package = match package.ends_with("//") {
                true => package.to_owned(),
                false => package.trim_end_matches('/').to_owned(),
            };
            return Ok(TargetPattern::Below(
                directory_of(&package, absolute, &from, loader, &error)?,
                targets,
            ));
        }
        if let Some(targets) = targets {
            return Ok(TargetPattern::Package(
                directory_of(package, absolute, &from, loader, &error)?,
                targets,
            ));
        }
        if absolute {
            let label = loader.session().parse_label(text, &from);
            return label.map(TargetPattern::Target).map_err(|e| error(&e.reason));
        }
        if let Some(name) = name {
            let package = directory_of(package, false, &from, loader, &error)?;
            rbz_engine::label::check_name(name).map_err(|reason| error(&reason))?;
            return Ok(TargetPattern::Target(Label::new(package, name)));
        }
        let path = join(directory, text.trim_end_matches('/'));
        check_package(&path).map_err(|reason| error(&reason))?;
        Ok(TargetPattern::Path(path))
    }

    /// Whether the pattern, written with `-`, takes this target away.
    fn covers(&self, label: &Label) -> bool {
        match self {
            TargetPattern::Target(other) => other == label,
            TargetPattern::Package(package, _) => label.package() == package,
            TargetPattern::Below(directory, _) => label.package().is_below(directory),
            TargetPattern::Path(path) => {
                let package = label.package();
                package.repo.is_main()
                    && (label.repo_relative_path() == *path
                        || (*package.path == **path
                            && path.rsplit('/').next() == Some(label.name())))
            }
        }
    }
}

/// The directory that a pattern without its last part names.
fn directory_of(
    text: &str,
    absolute: bool,
    from: &PackageId,
    loader: &Loader,
    error: &dyn Fn(&str) -> Diagnostic,
) -> Result<PackageId, Diagnostic> {
    if absolute {
        // A label in the directory tells repository and path.
        let text = if text.contains("//") { text.to_owned() } else { format!("{text}//") };
        let label = loader.session().parse_label(&format!("{text}:x"), from);
        return label.map(|label| label.package().clone()).map_err(|e| error(&e.reason));
    }
    let path = join(&from.path, text);
    check_package(&path).map_err(|reason| error(&reason))?;
    Ok(PackageId::new(from.repo.clone(), &path))
}

/// Whether a target is left out of patterns that do not name it.
pub fn is_manual(target: &Target) -> bool {
    let TargetKind::Rule(rule) = &target.kind else { return false };
    match rule.attrs.get("tags") {
        Some(Configurable::Plain(AttrValue::StringList(tags))) => {
            tags.iter().any(|tag| &**tag == "manual")
        }
        _ => false,
    }
}

impl Loader {
    /// The targets that the patterns mean; those with a leading `-` take away what is there so
    /// far. `directory` is the one that they are relative to.
    pub fn expand(&self, patterns: &[String], directory: &str) -> Expansion {
        let mut expansion = Expansion::default();
        let mut parsed = Vec::new();
        for text in patterns {
            let (negative, pattern) = match text.strip_prefix('-') {
                Some(pattern) => (true, pattern),
                None => (false, &**text),
            };
            match TargetPattern::parse(pattern, directory, self) {
                Ok(pattern) => parsed.push((negative, pattern)),
                Err(diagnostic) => expansion.errors.push(diagnostic),
            }
        }
        for (n, (negative, pattern)) in parsed.iter().enumerate() {
            if *negative {
                expansion.targets.retain(|label, _| !pattern.covers(label));
                continue;
            }
            let excluded: Vec<&TargetPattern> =
                parsed[n + 1..].iter().filter(|(no, _)| *no).map(|(_, pattern)| pattern).collect();
            self.threads().install(|| self.expand_one(pattern, &excluded, &mut expansion));
        }
        expansion
    }

    fn expand_one(
        &self,
        pattern: &TargetPattern,
        excluded: &[&TargetPattern],
        expansion: &mut Expansion,
    ) {
        let result = match pattern {
            TargetPattern::Target(label) => self.expand_target(label, expansion),
            TargetPattern::Package(package, targets) => {
                self.package(package).map_err(|error| *error).map(|package| {
                    add_all(&package, *targets, expansion);
                })
            }
            TargetPattern::Below(directory, targets) => {
                self.expand_below(directory, *targets, excluded, expansion)
            }
            TargetPattern::Path(path) => {
                self.label_of_path(path).and_then(|label| self.expand_target(&label, expansion))
            }
        };
        if let Err(diagnostic) = result {
            expansion.errors.push(diagnostic);
        }
    }

    fn expand_target(&self, label: &Label, expansion: &mut Expansion) -> Result<(), Diagnostic> {
        match self.target(label) {
            Ok((_, target)) => {
                expansion.targets.insert(target.label.clone(), true);
                Ok(())
            }
            Err(error) => Err(*error),
        }
    }

    fn expand_below(
        &self,
        directory: &PackageId,
        targets: Targets,
        excluded: &[&TargetPattern],
        expansion: &mut Expansion,
    ) -> Result<(), Diagnostic> {
        let mut packages = self.packages_below(directory, excluded)?;
        packages.sort();
        if packages.is_empty() {
            let shown = if directory.path.is_empty() {
                "the repository".to_owned()
            } else {
                format!("`{}`", directory.exec_dir())
            };
            return Err(Diagnostic::user(format!("there is no package in {shown} or below it")));
        }
        let loaded: Vec<_> = packages.par_iter().map(|package| self.package(package)).collect();
        for package in loaded {
            match package {
                Ok(package) => add_all(&package, targets, expansion),
                Err(diagnostic) => expansion.errors.push(*diagnostic),
            }
        }
        Ok(())
    }

    /// All packages at and below a directory, but for those that a negative pattern excludes.
    pub fn packages_below(
        &self,
        directory: &PackageId,
        excluded: &[&TargetPattern],
    ) -> Result<Vec<PackageId>, Diagnostic> {
        let root = self.shared().repository(&directory.repo).map_err(|error| *error)?;
        let ignored = self.shared().ignored(&directory.repo).map_err(|error| *error)?;
        let mut tree = SourceTree::new(self.files().clone());
        let mut found = Vec::new();
        let start = root.directory.join(&*directory.path);
        if tree.kind(&start)? != EntryKind::Directory {
            self.note_dependencies(&tree);
            return Err(self.no_such_directory(directory, &root.directory));
        }
        let mut pending = vec![directory.clone()];
        while let Some(package) = pending.pop() {
            let skip = excluded.iter().any(|pattern| match pattern {
                TargetPattern::Below(directory, _) => package.is_below(directory),
                _ => false,
            });
            let path = root.directory.join(&*package.path);
            if skip {
                continue;
            }
            let alone = excluded.iter().any(
                |pattern| matches!(pattern, TargetPattern::Package(other, _) if *other == package),
            );
            let listing = tree.list(&path)?;
            let is_package = root.build_file(&package, &mut tree)?.is_some();
            if is_package && !alone {
                found.push(package.clone());
            }
            for entry in &listing.entries {
                let below = path.join(&*entry.name);
                // Links to directories are not followed: what they lead to has its own name.
                if entry.kind == EntryKind::Directory
                    && !entry.is_symlink
                    && !ignored.contains(&below, entry.is_symlink)
                    && check_package(&entry.name).is_ok()
                {
                    let path = join(&package.path, &entry.name);
                    pending.push(PackageId::new(package.repo.clone(), &path));
                }
            }
        }
        self.note_dependencies(&tree);
        Ok(found)
    }

    fn no_such_directory(&self, directory: &PackageId, root: &Path) -> Diagnostic {
        let diagnostic =
            Diagnostic::user(format!("there is no directory `{}`", directory.exec_dir()));
        let (parent, name) = directory.path.rsplit_once('/').unwrap_or(("", &directory.path));
        match self.files().list(&root.join(parent)) {
            Ok(listing) => {
                let names = listing.entries.iter().map(|entry| &*entry.name);
                nearest::hinted(diagnostic, name, names)
            }
            // Then the parent is not there either, and there is nothing to add.
            Err(_) => diagnostic,
        }
    }

    /// The label that a path below the main repository's root means on the command line: of the
    /// package with this path, or of a file or target in a package above.
    pub fn label_of_path(&self, path: &str) -> Result<Label, Diagnostic> {
        let main = RepoName::main();
        if let Some(label) = self.package_label(&PackageId::new(main.clone(), path))? {
            return Ok(label);
        }
        match self.find_package_of_file(&main, path)? {
            Some(label) => Ok(label),
            None => Err(Diagnostic::user(format!("`{path}` is neither a package nor in one"))
                .hint("write `//pkg:target`, and check for a BUILD file")),
        }
    }

    fn package_label(&self, package: &PackageId) -> Result<Option<Label>, Diagnostic> {
        let name = package.path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() || !self.is_package(package)? {
            return Ok(None);
        }
        Ok(Some(package.label(name)))
    }

    /// Whether there is a package `package`.
    pub fn is_package(&self, package: &PackageId) -> Result<bool, Diagnostic> {
        let root = self.shared().repository(&package.repo).map_err(|error| *error)?;
        let mut tree = SourceTree::new(self.files().clone());
        let found = root.build_file(package, &mut tree)?.is_some();
        self.note_dependencies(&tree);
        Ok(found)
    }

    /// The label that the file at `path`, relative to the root of `repo`, has or would have: in
    /// the nearest package above it. `None` if there is no package above it.
    pub fn find_package_of_file(
        &self,
        repo: &RepoName,
        path: &str,
    ) -> Result<Option<Label>, Diagnostic> {
        let mut split = path.rfind('/');
        loop {
            let (directory, name) = match split {
                Some(at) => (&path[..at], &path[at + 1..]),
                None => ("", path),
            };
            let package = PackageId::new(repo.clone(), directory);
            if self.is_package(&package)? {
                return Ok(Some(package.label(name)));
            }
            match split {
                Some(at) => split = path[..at].rfind('/'),
                None => return Ok(None),
            }
        }
    }
}

fn add_all(package: &Arc<Package>, targets: Targets, expansion: &mut Expansion) {
    for target in package.targets.values() {
        let wanted = match target.kind {
            TargetKind::Rule(_) => true,
            TargetKind::SourceFile | TargetKind::GeneratedFile { .. } => targets == Targets::All,
            TargetKind::PackageGroup(_) => false,
        };
        if wanted && !is_manual(target) {
            expansion.targets.entry(target.label.clone()).or_insert(false);
        }
    }
}
