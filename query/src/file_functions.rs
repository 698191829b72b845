//! Functions about files that are loaded: BUILD files, .bzl files, and the packages they make.

use std::collections::BTreeSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::{PackageId, join};

use crate::node_set::NodeSet;
use crate::world::World;

impl World<'_> {
    fn packages_of(&self, of: &NodeSet) -> BTreeSet<PackageId> {
        of.iter().map(|node| self.graph.node(node).package().clone()).collect()
    }

    /// Every target in the packages of `of`, the BUILD files included.
    pub fn siblings(&mut self, of: &NodeSet) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        for package in self.packages_of(of) {
            found.unite(&self.all_of(&package)?);
        }
        Ok(found)
    }

    /// The .bzl files that the packages of `of` are made of; also their BUILD files and those of
    /// the packages that the .bzl files lie in, if these are wanted.
    pub fn files_of(&mut self, of: &NodeSet, build_files: bool) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        let mut packages = self.packages_of(of);
        for id in packages.clone() {
            let files = self.files.of_package(&id, self.loader)?;
            for (label, path) in files {
                found.insert(self.loaded_file(&label, &path));
                packages.insert(label.package().clone());
            }
        }
        if build_files {
            for id in packages {
                let package = self.package(&id).map_err(|error| *error)?;
                found.insert(self.build_file(&package));
            }
        }
        Ok(found)
    }

    /// The BUILD files in the universe that are, or load, one of these files; each is given by its
    /// path below the workspace's root.
    pub fn loaders_of(&mut self, paths: &[String]) -> Result<NodeSet, Diagnostic> {
        let universe = self.universe()?;
        let mut found = NodeSet::new();
        for id in self.packages_of(&universe) {
            let package = self.package(&id).map_err(|error| *error)?;
            let files = self.files.of_package(&id, self.loader)?;
            let is_asked_for = |path: &str| paths.iter().any(|asked| asked == path);
            let loads = files
                .iter()
                .any(|(label, _)| is_asked_for(&join(&label.package().exec_dir(), label.name())));
            if loads || is_asked_for(&package.build_file) {
                found.insert(self.build_file(&package));
            }
        }
        Ok(found)
    }

    /// Those of `of` that are in the configuration `name`: `target`, `exec`, `null`, or the name of
    /// one.
    pub fn in_configuration(&mut self, of: &NodeSet, name: &str) -> Result<NodeSet, Diagnostic> {
        let mut found = NodeSet::new();
        let mut names: BTreeSet<String> = ["target", "exec", "null"].map(str::to_owned).into();
        for node in of.iter() {
            let configured = self.graph.node(node).configured.as_ref();
            let configuration = configured.and_then(|known| known.configuration.clone());
            let fits = match (name, &configuration) {
                ("null", None) => true,
                ("target" | "exec", Some(own)) => {
                    Some(&**own) == self.target_configuration.as_deref()
                }
                (name, Some(own)) => **own == *name,
                _ => false,
            };
            if fits {
                found.insert(node);
            }
            names.extend(configuration.map(|own| own.to_string()));
        }
        if found.is_empty() && !names.contains(name) {
            let near = rbz_starlark::nearest::nearest(name, names.iter().map(String::as_str));
            let mut error = Diagnostic::user(format!("there is no configuration `{name}`"));
            error.hints.extend(near.map(|near| format!("did you mean `{near}`?")));
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            return Err(error.hint(format!("there are {}", names.join(", "))));
        }
        Ok(found)
    }
}
