//! Packages under construction: what the functions of a BUILD file write to.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use rbz_engine::dependency::Dependency;
use rbz_engine::diagnostic::{Diagnostic, Frame, Place};
use rbz_engine::digest::{Fingerprint, FingerprintBuilder};
use rbz_engine::label::{self, Label, PackageId};
use starlark::eval::Evaluator;

use crate::attr::{AttrValue, Configurable, SelectPart};
use crate::glob::{self, Found, GlobSpec, SharedIgnored};
use crate::package::{Package, Target, TargetKind, Visibility, VisibilityRule};
use crate::rule::RuleSchema;
use crate::source_tree::SourceTree;
use crate::starlark_error;

/// A package while its BUILD file is evaluated.
pub struct PackageBuilder {
    /// Which.
    pub id: PackageId,
    /// Path of the BUILD file as shown in messages.
    pub build_file: Arc<str>,
    /// The directory of the package.
    pub directory: PathBuf,
    /// Answers what is on disk, and notes what was asked.
    pub tree: SourceTree,
    /// What `package()` set.
    pub defaults: PackageDefaults,
    /// Directories that globs do not enter.
    pub ignored: SharedIgnored,
    /// Answers what globs ask.
    pub glob_tree: SourceTree,
    /// Every glob with the identity of its result.
    pub globs: Vec<(GlobSpec, Fingerprint)>,
    targets: IndexMap<Arc<str>, Arc<Target>>,
    /// The schema of each rule target, for questions about its labels and for `existing_rules`.
    schemas: IndexMap<Arc<str>, Arc<RuleSchema>>,
}

/// A package whose BUILD file has been evaluated.
pub struct FinishedPackage {
    /// The package.
    pub package: Package,
    /// What it relied on, save for its globs.
    pub dependencies: Vec<Dependency>,
    /// What its globs looked at.
    pub glob_dependencies: Vec<Dependency>,
    /// The globs with the identities of their results.
    pub globs: Vec<(GlobSpec, Fingerprint)>,
}

/// What `package()` sets for all targets of a package.
#[derive(Default)]
pub struct PackageDefaults {
    /// Whether `package()` was called.
    pub declared: bool,
    /// Who may depend on targets that do not say.
    pub visibility: Option<(Visibility, Vec<Arc<str>>)>,
    /// Attributes of targets that do not give them.
    pub attrs: Vec<(Arc<str>, AttrValue)>,
    /// Features, to which those of a target are added.
    pub features: Vec<Arc<str>>,
}

/// Where a target is declared.
pub struct Declaration {
    /// The outermost call in the BUILD file.
    pub place: Place,
    /// The calls in macros between it and the rule, outermost first.
    pub macros: Vec<(Place, Arc<str>)>,
}

impl Declaration {
    /// The call that is being evaluated.
    pub fn of_call(eval: &Evaluator, build_file: &str) -> Declaration {
        let frames = eval.call_stack().into_frames();
        let mut places = frames.iter().filter_map(|frame| {
            frame.location.as_ref().map(|span| (starlark_error::place(span), &frame.name))
        });
        let outermost = places.next();
        let mut caller: Option<Arc<str>> = outermost.as_ref().map(|(_, name)| name.as_str().into());
        let macros = places
            .filter_map(|(place, name)| Some((place, caller.replace(name.as_str().into())?)))
            .collect();
        let place = outermost.map(|(place, _)| place).unwrap_or(Place {
            file: build_file.to_owned(),
            line: 1,
            column: 1,
        });
        Declaration { place, macros }
    }
}

/// What `text` in `visibility` means.
pub fn visibility_rule(label: &Label) -> Result<Option<VisibilityRule>, Diagnostic> {
    let package = label.package();
    if &*package.path == "visibility" {
        return match label.name() {
            "public" => Ok(Some(VisibilityRule::Public)),
            "private" => Ok(None),
            "legacy_public" => Ok(Some(VisibilityRule::Public)),
            other => Err(Diagnostic::user(format!("there is no visibility `{other}`"))
                .hint("`//visibility:public`, `//visibility:private`, `//pkg:__pkg__`, `//pkg:__subpackages__` or the label of a `package_group`")),
        };
    }
    Ok(Some(match label.name() {
        "__pkg__" => VisibilityRule::Package(package.clone()),
        "__subpackages__" => VisibilityRule::Subpackages(package.clone()),
        _ => VisibilityRule::Group(label.clone()),
    }))
}

impl PackageBuilder {
    /// An empty package.
    pub fn new(
        id: PackageId,
        build_file: &str,
        directory: PathBuf,
        tree: SourceTree,
        ignored: SharedIgnored,
    ) -> Self {
        PackageBuilder {
            id,
            build_file: build_file.into(),
            directory,
            glob_tree: SourceTree::new(tree.files().clone()),
            tree,
            defaults: PackageDefaults::default(),
            ignored,
            globs: Vec::new(),
            targets: IndexMap::new(),
            schemas: IndexMap::new(),
        }
    }

    /// Adds a target; no other may have its name, save a source file that was only exported.
    pub fn add(
        &mut self,
        name: &str,
        kind: TargetKind,
        visibility: Visibility,
        declaration: &Declaration,
        schema: Option<&Arc<RuleSchema>>,
    ) -> Result<(), Diagnostic> {
        if let Err(reason) = label::check_name(name) {
            return Err(Diagnostic::user(format!(
                "`{name}` cannot be the name of a target: {reason}"
            )));
        }
        if let Some(other) = self.targets.get(name) {
            let what = kind_name(&other.kind);
            let message = format!("`{}` is declared twice", self.id.label(name));
            let mut diagnostic = Diagnostic::user(message);
            diagnostic.trace.push(Frame {
                place: Some(other.place.clone()),
                what: format!("the other `{name}` is here ({what})"),
                source: None,
            });
            return Err(diagnostic.hint("give one of them another name"));
        }
        let fingerprint = fingerprint(&kind, &visibility)?;
        let target = Target {
            label: self.id.label(name),
            place: declaration.place.clone(),
            kind,
            visibility,
            fingerprint,
        };
        self.targets.insert(name.into(), Arc::new(target));
        if let Some(schema) = schema {
            self.schemas.insert(name.into(), schema.clone());
        }
        Ok(())
    }

    /// Makes a target for a source file that `exports_files` names. It may be named again in the
    /// same way.
    pub fn export_file(
        &mut self,
        name: &str,
        visibility: Visibility,
        declaration: &Declaration,
    ) -> Result<(), Diagnostic> {
        if let Some(Target { kind: TargetKind::SourceFile, visibility: known, place, .. }) =
            self.targets.get(name).map(Arc::as_ref)
        {
            if *known == visibility {
                return Ok(());
            }
            let mut error = Diagnostic::user(format!("`{name}` is exported with two visibilities"));
            error.trace.push(Frame {
                place: Some(place.clone()),
                what: "the other one is here".to_owned(),
                source: None,
            });
            return Err(error);
        }
        self.add(name, TargetKind::SourceFile, visibility, declaration, None)
    }

    /// What a glob means.
    pub fn glob(&mut self, spec: GlobSpec) -> Result<Found, Diagnostic> {
        let found = glob::glob(&spec, &self.directory, &mut self.glob_tree, &self.ignored)?;
        self.globs.push((spec, found.fingerprint()));
        Ok(found)
    }

    /// The targets so far.
    pub fn targets(&self) -> &IndexMap<Arc<str>, Arc<Target>> {
        &self.targets
    }

    /// The schema of the rule target `name`.
    pub fn schema(&self, name: &str) -> Option<&Arc<RuleSchema>> {
        self.schemas.get(name)
    }

    /// The package, with targets for all of its source files that its rules mention. Also what
    /// it relied on.
    pub fn finish(mut self) -> Result<FinishedPackage, Diagnostic> {
        let mut mentioned: Vec<(Label, Place)> = Vec::new();
        for target in self.targets.values() {
            match &target.kind {
                TargetKind::Rule(rule) => {
                    let mut labels = Vec::new();
                    for value in rule.attrs.values() {
                        labels_of(value, &mut labels);
                    }
                    mentioned.extend(labels.into_iter().map(|label| (label, target.place.clone())));
                }
                TargetKind::SourceFile
                | TargetKind::GeneratedFile { .. }
                | TargetKind::PackageGroup(_) => {}
            }
        }
        for (label, place) in mentioned {
            if *label.package() != self.id || self.targets.contains_key(label.name()) {
                continue;
            }
            if self.tree.is_source(&self.directory, label.name())? {
                let declaration = Declaration { place, macros: vec![] };
                let private = Visibility { rules: vec![] };
                self.add(label.name(), TargetKind::SourceFile, private, &declaration, None)?;
            }
        }
        let package = Package { id: self.id, build_file: self.build_file, targets: self.targets };
        Ok(FinishedPackage {
            package,
            dependencies: self.tree.dependencies().to_vec(),
            glob_dependencies: self.glob_tree.dependencies().to_vec(),
            globs: self.globs,
        })
    }
}

/// A target's kind in a word or two.
pub fn kind_name(kind: &TargetKind) -> String {
    match kind {
        TargetKind::Rule(rule) => format!("a `{}`", rule.rule),
        TargetKind::SourceFile => "a source file".to_owned(),
        TargetKind::GeneratedFile { generator } => format!("an output of `{generator}`"),
        TargetKind::PackageGroup(_) => "a `package_group`".to_owned(),
    }
}

/// Every label in an attribute, in all branches of its `select`s; their conditions too.
pub fn labels_of(value: &Configurable, to: &mut Vec<Label>) {
    match value {
        Configurable::Plain(value) => to.extend(value.labels()),
        Configurable::Select(parts) => {
            for part in parts {
                match part {
                    SelectPart::Plain(value) => to.extend(value.labels()),
                    SelectPart::Select { branches, default, .. } => {
                        for (condition, value) in branches {
                            to.push(condition.clone());
                            to.extend(value.labels());
                        }
                        if let Some(value) = default {
                            to.extend(value.labels());
                        }
                    }
                }
            }
        }
    }
}

/// The identity of what a target is, apart from where it stands.
fn fingerprint(kind: &TargetKind, visibility: &Visibility) -> Result<Fingerprint, Diagnostic> {
    let encode = |result: postcard::Result<Vec<u8>>| {
        result.map_err(|error| Diagnostic::internal(format!("a target cannot be encoded: {error}")))
    };
    let mut builder = FingerprintBuilder::new("target");
    match kind {
        TargetKind::Rule(rule) => {
            builder.part(&rule.rule_fingerprint);
            builder.bytes(&encode(postcard::to_stdvec(&(&rule.rule, &rule.attrs)))?);
        }
        other => {
            builder.bytes(&encode(postcard::to_stdvec(other))?);
        }
    }
    builder.bytes(&encode(postcard::to_stdvec(visibility))?);
    Ok(builder.finish())
}
