//! The sources of a project: which Lisp files a directory has, by its system definitions or without any.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::build_file_draft::{needs, target_name};
use crate::system_definition::System;
use crate::system_files::{EXTENSIONS, files_below, is_of_lisp, systems_of};

/// What a directory has for a BUILD file.
#[derive(Debug, PartialEq, Eq)]
pub enum Sources {
    /// Systems, and the names of those that have none of their files.
    Systems(Vec<System>, BTreeSet<String>),
    /// Lisp files that no definition names.
    Files(Vec<String>),
    /// No Lisp.
    Nothing,
}

impl Sources {
    /// What `directory` has. `lisp` is asked for systems that a definition computes.
    pub fn of(directory: &Path, lisp: Option<&Path>) -> io::Result<Sources> {
        let mut systems: Vec<System> = Vec::new();
        let mut absent = BTreeSet::new();
        for definition in definitions_of(directory)? {
            for system in systems_of(directory, &definition, lisp)? {
                let name = target_name(&system.name);
                if system.files.is_empty() && !system.absent.is_empty() {
                    absent.insert(system.name);
                } else if !systems.iter().any(|known| target_name(&known.name) == name) {
                    systems.push(system);
                }
            }
        }
        if !systems.is_empty() {
            return Ok(Sources::Systems(systems, absent));
        }
        let files = files_with(directory, &EXTENSIONS)?;
        Ok(if files.is_empty() { Sources::Nothing } else { Sources::Files(files) })
    }

    /// The systems from elsewhere that are needed.
    pub fn elsewhere(&self) -> BTreeSet<String> {
        let Sources::Systems(systems, absent) = self else { return BTreeSet::new() };
        let needed = systems.iter().flat_map(needs);
        let own = |name: &String| systems.iter().any(|system| system.name == *name);
        needed.filter(|name| !own(name) && !is_of_lisp(name) && !absent.contains(name)).collect()
    }
}

/// The definition files of a project: those at its top, else those in the directories below.
fn definitions_of(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let found = files_with(directory, &["asd"])?;
    let (top, below): (Vec<_>, Vec<_>) = found.iter().partition(|path| !path.contains('/'));
    let chosen = if top.is_empty() { below } else { top };
    Ok(chosen.into_iter().map(|path| directory.join(path)).collect())
}

/// The files with these extensions at and below `directory`, those that define packages by their
/// name first.
fn files_with(directory: &Path, extensions: &[&str]) -> io::Result<Vec<String>> {
    let mut files = files_below(directory, |name| {
        name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    })?;
    files.sort_by_cached_key(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        (!name.starts_with("package"), path.clone())
    });
    Ok(files)
}
