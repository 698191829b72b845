//! What a rule's implementation works on: attributes, dependencies, declared outputs, actions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use indexmap::IndexMap;
use rbz_engine::action::{Action, ActionKind};
use rbz_engine::artifact::{Artifact, ArtifactKind};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::{Diagnostic, Place};
use rbz_engine::label::{Label, check_name, join};
use rbz_engine::value::TargetValue;

use crate::attr::AttrValue;
use crate::builtin_providers::{Builtin, DefaultInfo, FilesToRun};
use crate::configuration::{Configuration, OptionReads};
use crate::configured_target::ConfiguredTarget;
use crate::resolved_attributes::{ResolvedAttribute, ResolvedAttributes};
use crate::rule::RuleSchema;

/// The shell of `run_shell`.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The program.
    pub program: Artifact,
    /// Everything it needs, the program included.
    pub files: Depset,
}

/// A target whose rule is being evaluated.
#[derive(Debug)]
pub struct RuleContext {
    /// The target.
    pub label: Label,
    /// Its rule.
    pub schema: Arc<RuleSchema>,
    /// Its configuration.
    pub configuration: Arc<Configuration>,
    /// Its attributes by name.
    pub attributes: Arc<ResolvedAttributes>,
    /// Its dependencies, as the attributes number them.
    pub dependencies: Vec<Arc<ConfiguredTarget>>,
    /// The name of the main workspace.
    pub workspace: Arc<str>,
    /// The BUILD file's path, for `ctx.build_file_path`.
    pub build_file: Arc<str>,
    /// The shell of `run_shell`, or why there is none.
    pub shell: Arc<Result<Shell, Diagnostic>>,
    /// The constraint values of the machine.
    pub host_constraints: Arc<[Label]>,
    /// What of the configuration was read.
    pub reads: OptionReads,
    /// What the rule has made so far.
    pub made: Mutex<Made>,
}

/// The actions and outputs of a target whose rule is being evaluated; nothing at the start.
#[derive(Debug, Default)]
pub struct Made {
    actions: Vec<Arc<Action>>,
    outputs: IndexMap<Arc<str>, DeclaredOutput>,
    finished: bool,
}

#[derive(Debug)]
struct DeclaredOutput {
    artifact: Artifact,
    place: Option<Place>,
    written: bool,
}

impl RuleContext {
    fn state(&self) -> Result<MutexGuard<'_, Made>, Diagnostic> {
        // Only one thread evaluates a rule, so the lock is never contended nor poisoned by others.
        let state = self.made.lock().unwrap_or_else(|poison| poison.into_inner());
        if state.finished {
            return Err(Diagnostic::user(format!(
                "`ctx` of `{}` is used after its rule was evaluated",
                self.label
            )));
        }
        Ok(state)
    }

    /// The variables that the command line gives to actions that ask for them.
    pub fn shell_environment(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        Configuration::variables(self.reads.native(&self.configuration, "action_env"))
    }

    /// Fails once the evaluation is over.
    pub fn check_alive(&self) -> Result<(), Diagnostic> {
        self.state().map(|_| ())
    }

    /// The artifact called `name` in the package, or beside `sibling`; it must be written by one
    /// action.
    pub fn declare(
        &self,
        kind: ArtifactKind,
        name: &str,
        sibling: Option<&Artifact>,
        place: Option<Place>,
    ) -> Result<Artifact, Diagnostic> {
        if let Err(reason) = check_name(name) {
            return Err(Diagnostic::user(format!(
                "`{name}` cannot be the name of an output: {reason}"
            ))
            .hint("an output lies in the package of its target, or below it"));
        }
        let package = self.label.package().exec_dir();
        let path = match sibling {
            None => join(&package, name),
            Some(sibling) => {
                let path = sibling.root_relative_path();
                let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                let inside = package.is_empty()
                    || dir == package
                    || dir.strip_prefix(&package).is_some_and(|rest| rest.starts_with('/'));
                if !inside {
                    return Err(Diagnostic::user(format!(
                        "an output beside `{path}` would lie outside the package `{}`",
                        self.label.package()
                    ))
                    .hint("use a sibling that lies in the package of the target"));
                }
                join(dir, name)
            }
        };
        let mut state = self.state()?;
        if let Some(known) = state.outputs.get(&*path) {
            if known.artifact.kind() != kind {
                return Err(Diagnostic::user(format!(
                    "`{path}` is declared both as a file and as a directory or link"
                )));
            }
            return Ok(known.artifact.clone());
        }
        let root = self.configuration.output_root();
        let artifact = Artifact::new(kind, root, &path, self.label.clone());
        state.outputs.insert(
            path.into(),
            DeclaredOutput { artifact: artifact.clone(), place, written: false },
        );
        Ok(artifact)
    }

    /// The program of a target that does not name one: its output with its own name.
    pub fn default_program(&self) -> Result<Artifact, Diagnostic> {
        let path = join(&self.label.package().exec_dir(), self.label.name());
        let known = self.state()?.outputs.get(&*path).map(|output| output.artifact.clone());
        known.ok_or_else(|| {
            let what = if self.schema.test { "tests" } else { "programs" };
            Diagnostic::user(format!(
                "the targets of `{}` are {what}, but its implementation made no program for `{}`",
                self.schema.rule, self.label
            ))
            .hint("return `DefaultInfo(executable = …)` with an output of one of its actions")
        })
    }

    /// Adds an action. Every output of it must have been declared, and be written by it alone.
    pub fn register(&self, action: Action) -> Result<(), Diagnostic> {
        let mut state = self.state()?;
        if action.outputs.is_empty() {
            return Err(Diagnostic::user(format!(
                "an action (`{}`) must have at least one output",
                action.mnemonic
            )));
        }
        for output in &action.outputs {
            match state.outputs.get_mut(output.root_relative_path()) {
                Some(declared) if declared.artifact == *output => {
                    if declared.written {
                        return Err(Diagnostic::user(format!(
                            "`{}` is written by two actions of `{}`",
                            output.root_relative_path(),
                            self.label
                        )));
                    }
                    declared.written = true;
                }
                _ => {
                    let owner = if output.is_source() {
                        "it is a source file".to_owned()
                    } else {
                        format!("it belongs to `{}`", output.owner())
                    };
                    return Err(Diagnostic::user(format!(
                        "`{}` cannot be an output of `{}`: {owner}",
                        output.root_relative_path(),
                        self.label
                    ))
                    .hint("outputs are made by `ctx.actions.declare_file` of the same target"));
                }
            }
        }
        state.actions.push(Arc::new(action));
        Ok(())
    }

    /// Ends the evaluation: yields the actions, and fails if a declared output has none.
    pub fn finish(&self) -> Result<Vec<Arc<Action>>, Diagnostic> {
        let mut state = self.state()?;
        state.finished = true;
        let missing = state.outputs.values().find(|output| !output.written);
        if let Some(output) = missing {
            let mut error = Diagnostic::user(format!(
                "`{}` is declared as an output of `{}`, but no action writes it",
                output.artifact.root_relative_path(),
                self.label
            ))
            .hint(format!(
                "give it to an action of the rule `{}` as an output, or do not declare it",
                self.schema.rule
            ));
            error.place = output.place.clone();
            return Err(error);
        }
        state.actions.shrink_to_fit();
        Ok(std::mem::take(&mut state.actions))
    }

    /// Ends the evaluation after an error.
    pub fn abandon(&self) {
        self.made.lock().unwrap_or_else(|poison| poison.into_inner()).finished = true;
    }

    /// The attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&ResolvedAttribute> {
        self.attributes.get(name)
    }

    /// The dependency with the number `index`, as a value.
    pub fn target(&self, index: usize) -> Arc<TargetValue> {
        let target = &self.dependencies[index];
        Arc::new(TargetValue { label: target.label.clone(), providers: target.providers.clone() })
    }

    /// The files of the dependencies of an attribute.
    pub fn files(&self, attribute: &ResolvedAttribute) -> Vec<Artifact> {
        let mut files = IndexMap::new();
        for (_, index) in &attribute.dependencies {
            for file in self.dependencies[*index].default_info().files.to_files() {
                files.insert(file, ());
            }
        }
        files.into_keys().collect()
    }

    /// The program and runfiles of a dependency whose program is `executable`.
    pub fn program(&self, executable: &Artifact) -> Option<FilesToRun> {
        self.dependencies
            .iter()
            .map(|target| target.default_info().files_to_run)
            .find(|program| program.executable.as_ref() == Some(executable))
    }

    /// The tags of the target.
    pub fn strings(&self, attribute: &str) -> Vec<Arc<str>> {
        match self.attribute(attribute).map(|attribute| &attribute.value) {
            Some(AttrValue::StringList(strings)) => strings.clone(),
            _ => Vec::new(),
        }
    }

    /// Makes an action of the target.
    pub fn action(
        &self,
        mnemonic: &str,
        progress_message: Option<Arc<str>>,
        inputs: Depset,
        outputs: Vec<Artifact>,
        kind: ActionKind,
    ) -> Action {
        Action {
            owner: self.label.clone(),
            mnemonic: mnemonic.into(),
            progress_message,
            configuration: self.configuration.name().clone(),
            inputs,
            outputs,
            kind,
        }
    }
}

impl ConfiguredTarget {
    /// Its files, program and runfiles.
    pub fn default_info(&self) -> DefaultInfo {
        match self.provider(&Builtin::DefaultInfo.id()) {
            Some(instance) => DefaultInfo::from_instance(instance),
            None => DefaultInfo::of_files(Depset::union([])),
        }
    }
}

#[cfg(test)]
mod tests {
    use rbz_engine::label::{PackageId, RepoName};

    use super::*;
    use crate::rule::NativeRule;
    use crate::session::ConfigurationOptions;

    #[test]
    fn a_context_is_dead_after_its_rule() {
        let options = ConfigurationOptions::default();
        let schema = crate::native_rule::schema(NativeRule::Alias).clone();
        let context = RuleContext {
            label: PackageId::new(RepoName::main(), "a").label("x"),
            configuration: Configuration::of_command_line(&options, []).unwrap(),
            attributes: Arc::new(ResolvedAttributes::new(schema.clone(), Vec::new())),
            schema,
            dependencies: Vec::new(),
            workspace: "ws".into(),
            build_file: "a/BUILD".into(),
            shell: Arc::new(Err(Diagnostic::user("no shell"))),
            host_constraints: Arc::new([]),
            reads: OptionReads::default(),
            made: Mutex::default(),
        };
        assert!(context.check_alive().is_ok());
        assert_eq!(context.finish().map(|actions| actions.len()), Ok(0));
        let error = context.declare(ArtifactKind::File, "f", None, None).unwrap_err();
        insta::assert_snapshot!(error, @"`ctx` of `//a:x` is used after its rule was evaluated");
    }
}
