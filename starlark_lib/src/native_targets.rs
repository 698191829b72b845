//! What analysis makes of targets without running a rule: files and native rules.

use std::sync::{Arc, LazyLock};

use rbz_engine::artifact::{Artifact, ArtifactKind, Root};
use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::FingerprintBuilder;
use rbz_engine::file_state::EntryKind;
use rbz_engine::label::{Label, join};
use rbz_engine::value::{ProviderInstance, Value};

use crate::attr::AttrValue;
use crate::builtin_providers::{Builtin, DefaultInfo};
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::Node;
use crate::loader::Loader;
use crate::resolved_attributes::ResolvedAttributes;
use crate::rule::NativeRule;

/// What a file of the source tree has in place of a rule's name.
const SOURCE_FILE: &str = "source file";

/// Half of all targets are such files.
fn source_file_name() -> Arc<str> {
    static NAME: LazyLock<Arc<str>> = LazyLock::new(|| SOURCE_FILE.into());
    NAME.clone()
}

/// A configured target without actions.
pub fn passive(node: &Node, rule: &str, providers: Vec<ProviderInstance>) -> ConfiguredTarget {
    let mut providers: Vec<Arc<ProviderInstance>> = providers.into_iter().map(Arc::new).collect();
    providers.sort_by(|a, b| a.id.cmp(&b.id));
    ConfiguredTarget {
        label: node.label.clone(),
        rule: if rule == SOURCE_FILE { source_file_name() } else { rule.into() },
        configuration: node.configuration.name().clone(),
        fingerprint: fingerprint(&node.label, rule, &providers),
        providers,
        actions: Vec::new(),
    }
}

/// What a dependent's saved unit is checked against.
pub fn fingerprint(
    label: &Label,
    rule: &str,
    providers: &[Arc<ProviderInstance>],
) -> rbz_engine::digest::Fingerprint {
    let mut builder = FingerprintBuilder::new("configured target");
    builder.str(&label.to_string()).str(rule).u64(providers.len() as u64);
    for provider in providers {
        builder.part(&provider.fingerprint());
    }
    builder.finish()
}

/// A file or directory of the source tree.
pub fn source_file(node: &Node, loader: &Loader) -> Result<ConfiguredTarget, Box<Diagnostic>> {
    let label = &node.label;
    let path = loader.repository_root(label.repo())?.join(label.repo_relative_path());
    // A file that is not there is the executor's matter: only then does anybody need it.
    let is_directory =
        loader.files().stat(&path).is_ok_and(|stat| stat.kind() == EntryKind::Directory);
    let kind = if is_directory { ArtifactKind::SourceTree } else { ArtifactKind::SourceFile };
    let exec_path = join(&label.package().exec_dir(), label.name());
    let artifact = Artifact::new(kind, Root::Source, &exec_path, label.clone());
    let info = DefaultInfo::of_files(Depset::of_files([artifact]));
    Ok(passive(node, SOURCE_FILE, vec![info.to_instance()]))
}

/// An output of a rule.
pub fn generated_file(
    node: &Node,
    generator: &ConfiguredTarget,
) -> Result<ConfiguredTarget, Box<Diagnostic>> {
    let path = join(&node.label.package().exec_dir(), node.label.name());
    let outputs = generator.actions.iter().flat_map(|action| &action.outputs);
    let artifact = outputs.into_iter().find(|output| output.root_relative_path() == path);
    let Some(artifact) = artifact else {
        return Err(Box::new(Diagnostic::user(format!(
            "no action of `{}` writes its output `{}`",
            generator.label, node.label
        ))));
    };
    let mut info = DefaultInfo::of_files(Depset::of_files([artifact.clone()]));
    let program = generator.default_info();
    if program.files_to_run.executable.as_ref() == Some(artifact) {
        info.files_to_run = program.files_to_run;
        info.default_runfiles = program.default_runfiles;
        info.data_runfiles = program.data_runfiles;
    }
    Ok(passive(node, "generated file", vec![info.to_instance()]))
}

/// A target of a native rule.
pub fn native_rule(
    node: &Node,
    rule: NativeRule,
    attributes: &ResolvedAttributes,
    dependencies: &[Arc<ConfiguredTarget>],
) -> Result<ConfiguredTarget, Box<Diagnostic>> {
    let empty = || DefaultInfo::of_files(Depset::union([])).to_instance();
    let label = || Value::Label(node.label.clone());
    let instance = |builtin: Builtin, mut fields: Vec<(Arc<str>, Value)>| {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        ProviderInstance::new(builtin.id(), fields)
    };
    let infos = |builtin: Builtin| -> Vec<Value> {
        let found = dependencies.iter().filter_map(|target| target.provider(&builtin.id()));
        found.cloned().map(Value::Provider).collect()
    };
    let providers = match rule {
        NativeRule::SystemFiles => vec![system_files(node, attributes)?.to_instance()],
        NativeRule::ConstraintSetting => vec![
            empty(),
            instance(
                Builtin::ConstraintSettingInfo,
                vec![("label".into(), label()), ("default_constraint_value".into(), Value::None)],
            ),
        ],
        NativeRule::ConstraintValue => vec![
            empty(),
            instance(
                Builtin::ConstraintValueInfo,
                vec![
                    ("label".into(), label()),
                    (
                        "constraint".into(),
                        infos(Builtin::ConstraintSettingInfo).pop().unwrap_or(Value::None),
                    ),
                ],
            ),
        ],
        NativeRule::Platform => vec![
            empty(),
            instance(
                Builtin::PlatformInfo,
                vec![
                    ("label".into(), label()),
                    ("constraints".into(), Value::List(infos(Builtin::ConstraintValueInfo).into())),
                ],
            ),
        ],
        NativeRule::TestSuite => {
            let files = dependencies.iter().map(|target| target.default_info().files);
            vec![DefaultInfo::of_files(Depset::union(files)).to_instance()]
        }
        NativeRule::ConfigSetting | NativeRule::Alias => vec![empty()],
    };
    Ok(passive(node, rule.name(), providers))
}

fn system_files(
    node: &Node,
    attributes: &ResolvedAttributes,
) -> Result<DefaultInfo, Box<Diagnostic>> {
    let mut files = Vec::new();
    for (name, kind) in [("srcs", ArtifactKind::SourceFile), ("trees", ArtifactKind::SourceTree)] {
        let Some(AttrValue::StringList(paths)) =
            attributes.get(name).map(|attribute| &attribute.value)
        else {
            continue;
        };
        for path in paths {
            let is_clean = path.starts_with('/')
                && path.len() > 1
                && path[1..].split('/').all(|segment| !matches!(segment, "" | "." | ".."));
            if !is_clean {
                return Err(Box::new(Diagnostic::user(format!(
                    "in the attribute `{name}` of `{}`: `{path}` is no absolute path without `.`, `..` and double slashes",
                    node.label
                ))));
            }
            files.push(Artifact::new(kind, Root::System, path, node.label.clone()));
        }
    }
    Ok(DefaultInfo::of_files(Depset::of_files(files)))
}
