//! Workspaces for the tests of analysis: files in a directory of their own, and a session there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rbz_engine::action::{Action, ActionKind, ArgItem, ArgValues, CommandArg};
use rbz_engine::event::Event;
use rbz_engine::file_state::FileState;
use rbz_engine::label::{Label, PackageId, RepoName};
use tempfile::TempDir;

use crate::loader_options::LoaderOptions;
use crate::session::{Analysis, AnalysisRequest, ConfigurationOptions, Session, SessionOptions};

/// A workspace under test.
pub struct Fixture {
    directory: TempDir,
}

/// A request for a pattern, with other options.
pub fn with_options(
    pattern: &str,
    change: impl FnOnce(&mut ConfigurationOptions),
) -> AnalysisRequest {
    let mut request = request(&[pattern]);
    change(&mut request.options);
    request
}

/// A label of the main repository.
pub fn label(text: &str) -> Label {
    Label::parse(text, &PackageId::new(RepoName::main(), "")).unwrap()
}

impl Fixture {
    /// A workspace with a shell and these files, each by path and text.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture { directory: TempDir::new().unwrap() };
        fixture.write("WORKSPACE", "workspace(name = \"ws\")\n");
        fixture.write(
            "shell/BUILD",
            "system_files(name = \"shell\", srcs = [\"/bin/sh\", \"/lib/libc.so\"], visibility = [\"//visibility:public\"])\n",
        );
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("ws")
    }

    /// A session in it.
    pub fn session(&self) -> Session {
        let options = SessionOptions {
            loader: LoaderOptions {
                workspace_root: self.root(),
                output_base: self.directory.path().join("base"),
                shipped: BTreeMap::new(),
                prelude: None,
                default_repositories: None,
                overrides: BTreeMap::new(),
                environment: BTreeMap::new(),
            },
            coverage_tool: label("//coverage:tool"),
            host_constraints: vec![label("//platforms:linux")],
            shell: label("//shell"),
        };
        let state = FileState::open(Path::new(&self.directory.path().join("state"))).unwrap();
        Session::open(options, Arc::new(state), Arc::new(|_: Event| {})).unwrap()
    }

    /// What analysis makes of a request.
    pub fn request(&self, request: &AnalysisRequest) -> Analysis {
        self.session().analyze(request)
    }

    /// What analysis makes of some patterns.
    pub fn analyze(&self, patterns: &[&str]) -> Analysis {
        self.request(&request(patterns))
    }

    /// The errors of a request for some patterns, as a user sees them.
    pub fn errors(&self, patterns: &[&str]) -> String {
        let errors = self.analyze(patterns).errors;
        assert!(!errors.is_empty(), "there is no error");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("\n")
    }

    /// The plan for some patterns, which must be fine, in a readable form.
    pub fn plan(&self, patterns: &[&str]) -> String {
        shown(&self.analyze(patterns))
    }
}

/// A request with the default options.
pub fn request(patterns: &[&str]) -> AnalysisRequest {
    AnalysisRequest {
        patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
        ..AnalysisRequest::default()
    }
}

/// A plan, one line for each action.
pub fn shown(analysis: &Analysis) -> String {
    let errors: Vec<String> = analysis.errors.iter().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let plan = &analysis.plan;
    let mut lines: Vec<String> = plan
        .ids()
        .map(|id| action(plan.action(id)).replace("rbz-out/k8-fastbuild/bin", "BIN"))
        .collect();
    for target in &plan.requested {
        let files: Vec<String> =
            target.files.to_files().iter().map(|file| file.short_path()).collect();
        lines.push(format!("{} ({}) = {}", target.label, target.rule, files.join(" ")));
    }
    lines.join("\n")
}

/// An action in one line: mnemonic, command, inputs, outputs.
pub fn action(action: &Action) -> String {
    let names = |files: Vec<rbz_engine::artifact::Artifact>| {
        files.iter().map(|file| file.exec_path().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let what = match &action.kind {
        ActionKind::Spawn(spawn) => spawn.argv.iter().map(argument).collect::<Vec<_>>().join(" "),
        ActionKind::Write { content, .. } => {
            format!("{:?}", content.iter().map(argument).collect::<Vec<_>>().join(" "))
        }
        ActionKind::ExpandTemplate { substitutions, .. } => format!("{substitutions:?}"),
        ActionKind::Symlink { target, .. } => format!("{target:?}"),
        ActionKind::WorkspaceStatus => String::new(),
        ActionKind::RunfilesTree(runfiles) => runfiles
            .entries("ws")
            .iter()
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>()
            .join(" "),
    };
    format!(
        "{}: {what} | {} -> {}",
        action.mnemonic,
        names(action.inputs.to_files()),
        names(action.outputs.clone())
    )
}

fn argument(argument: &CommandArg) -> String {
    match argument {
        CommandArg::Str(text) => text.to_string(),
        CommandArg::Args(args) => args.items.iter().map(item).collect::<Vec<_>>().join(" "),
    }
}

fn item(item: &ArgItem) -> String {
    let value = |value: &rbz_engine::value::Value| match value {
        rbz_engine::value::Value::Str(text) => text.to_string(),
        rbz_engine::value::Value::File(file) => file.exec_path().to_owned(),
        other => crate::value_repr::Repr(other).to_string(),
    };
    match item {
        ArgItem::One { flag, value: one, format } => format!(
            "{}{}",
            flag.as_ref().map(|flag| format!("{flag} ")).unwrap_or_default(),
            format.as_ref().map_or_else(|| value(one), |format| format.replace("%s", &value(one)))
        ),
        ArgItem::Many(many) => {
            let values = match &many.values {
                ArgValues::List(values) => values.to_vec(),
                ArgValues::Depset(depset) => depset.to_list(),
            };
            let flag = many.flag.as_deref().unwrap_or_default();
            format!("{flag}{{{}}}", values.iter().map(value).collect::<Vec<_>>().join(","))
        }
    }
}

/// A rule whose implementation has this body, as `r`, and a target `//a:x` of it.
pub fn rule(body: &str, attrs: &str, target: &str) -> Fixture {
    let body = body.trim_end().replace('\n', "\n    ");
    let bzl = format!(
        "P = provider(fields = [\"a\", \"b\"])\n\ndef top(x):\n    return \"top:\" + str(x)\n\ndef _impl(ctx):\n    {body}\n\nr = rule(implementation = _impl, attrs = {{{attrs}}})\nr_test = rule(implementation = _impl, attrs = {{{attrs}}}, test = True)\nrx = rule(implementation = _impl, attrs = {{{attrs}}}, executable = True)\n"
    );
    let build = format!("load(\":r.bzl\", \"r\", \"r_test\", \"rx\")\n{target}\n");
    Fixture::new(&[("a/r.bzl", &bzl), ("a/BUILD", &build), ("a/f.txt", "text")])
}
