//! The functions of the language, with what they take.

use crate::dialect::Dialect;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `allpaths(from, to)`
    AllPaths,
    /// `allrdeps(targets[, depth])`
    AllRdeps,
    /// `attr(name, pattern, targets)`
    Attr,
    /// `buildfiles(targets)`
    BuildFiles,
    /// `config(targets, configuration)`
    Config,
    /// `deps(targets[, depth])`
    Deps,
    /// `executables(targets)`
    Executables,
    /// `filter(pattern, targets)`
    Filter,
    /// `inputs(pattern, targets)`
    Inputs,
    /// `kind(pattern, targets)`
    Kind,
    /// `labels(attribute, targets)`
    Labels,
    /// `loadfiles(targets)`
    LoadFiles,
    /// `mnemonic(pattern, targets)`
    Mnemonic,
    /// `outputs(pattern, targets)`
    Outputs,
    /// `rbuildfiles(path, …)`
    RbuildFiles,
    /// `rdeps(universe, targets[, depth])`
    Rdeps,
    /// `same_pkg_direct_rdeps(targets)`
    SamePkgDirectRdeps,
    /// `siblings(targets)`
    Siblings,
    /// `some(targets[, count])`
    Some,
    /// `somepath(from, to)`
    SomePath,
    /// `tests(targets)`
    Tests,
    /// `visible(from, targets)`
    Visible,
}

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// An expression: a set of targets.
    Targets,
    /// A word.
    Word,
    /// A number from 0.
    Number,
}

/// The arguments of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it takes, in order.
    pub parameters: &'static [Parameter],
    /// How many of them may be left out, from the last.
    pub optional: usize,
    /// Whether the last may be there more than once.
    pub repeated: bool,
    /// As messages show it.
    pub shown: &'static str,
}

impl Function {
    /// Every one of them, sorted by name.
    pub const ALL: [Function; 22] = [
        Function::AllPaths,
        Function::AllRdeps,
        Function::Attr,
        Function::BuildFiles,
        Function::Config,
        Function::Deps,
        Function::Executables,
        Function::Filter,
        Function::Inputs,
        Function::Kind,
        Function::Labels,
        Function::LoadFiles,
        Function::Mnemonic,
        Function::Outputs,
        Function::RbuildFiles,
        Function::Rdeps,
        Function::SamePkgDirectRdeps,
        Function::Siblings,
        Function::Some,
        Function::SomePath,
        Function::Tests,
        Function::Visible,
    ];

    /// Its name in expressions.
    pub fn name(self) -> &'static str {
        let shown = self.signature().shown;
        shown.split('(').next().unwrap_or(shown)
    }

    /// The function of this name.
    pub fn from_name(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    /// What it takes.
    pub fn signature(self) -> Signature {
        use Parameter::{Number, Targets, Word};
        let of = |parameters, optional, shown| Signature {
            parameters,
            optional,
            repeated: false,
            shown,
        };
        match self {
            Function::AllPaths => of(&[Targets, Targets], 0, "allpaths(from, to)"),
            Function::AllRdeps => of(&[Targets, Number], 1, "allrdeps(targets[, depth])"),
            Function::Attr => of(&[Word, Word, Targets], 0, "attr(name, pattern, targets)"),
            Function::BuildFiles => of(&[Targets], 0, "buildfiles(targets)"),
            Function::Config => of(&[Targets, Word], 0, "config(targets, configuration)"),
            Function::Deps => of(&[Targets, Number], 1, "deps(targets[, depth])"),
            Function::Executables => of(&[Targets], 0, "executables(targets)"),
            Function::Filter => of(&[Word, Targets], 0, "filter(pattern, targets)"),
            Function::Inputs => of(&[Word, Targets], 0, "inputs(pattern, targets)"),
            Function::Kind => of(&[Word, Targets], 0, "kind(pattern, targets)"),
            Function::Labels => of(&[Word, Targets], 0, "labels(attribute, targets)"),
            Function::LoadFiles => of(&[Targets], 0, "loadfiles(targets)"),
            Function::Mnemonic => of(&[Word, Targets], 0, "mnemonic(pattern, targets)"),
            Function::Outputs => of(&[Word, Targets], 0, "outputs(pattern, targets)"),
            Function::RbuildFiles => {
                Signature { repeated: true, ..of(&[Word], 0, "rbuildfiles(path, …)") }
            }
            Function::Rdeps => {
                of(&[Targets, Targets, Number], 1, "rdeps(universe, targets[, depth])")
            }
            Function::SamePkgDirectRdeps => of(&[Targets], 0, "same_pkg_direct_rdeps(targets)"),
            Function::Siblings => of(&[Targets], 0, "siblings(targets)"),
            Function::Some => of(&[Targets, Number], 1, "some(targets[, count])"),
            Function::SomePath => of(&[Targets, Targets], 0, "somepath(from, to)"),
            Function::Tests => of(&[Targets], 0, "tests(targets)"),
            Function::Visible => of(&[Targets, Targets], 0, "visible(from, targets)"),
        }
    }

    /// The commands that know it.
    pub fn dialects(self) -> &'static [Dialect] {
        use Dialect::{Aquery, Cquery, Query};
        match self {
            Function::Inputs | Function::Outputs | Function::Mnemonic => &[Aquery],
            Function::Config => &[Cquery, Aquery],
            Function::AllRdeps
            | Function::BuildFiles
            | Function::LoadFiles
            | Function::RbuildFiles
            | Function::Siblings
            | Function::Visible => &[Query],
            _ => &[Query, Cquery, Aquery],
        }
    }
}
