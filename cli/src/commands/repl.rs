//! `rbz repl`: a Lisp that has loaded what targets need.
//!
//! What that is the rules say, in output groups that they offer only if they are asked: a file of lines,
//! which is handed on to the Lisp together with the places of files. The targets' own files are built
//! last: as long as they cannot be built, the Lisp loads their sources.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rbz_engine::artifact::Artifact;
use rbz_engine::digest::Fingerprint;
use rbz_engine::plan::{Plan, RequestedTarget};

use crate::built::{Built, failure_kind, finish};
use crate::command_error::{CommandError, ErrorKind};
use crate::commands::build::{Purpose, Workspace};
use crate::console::{Console, Severity, write_data};
use crate::progress::count;
use crate::repl_request::ReplRequest;
use crate::request::{BuildRequest, OutputGroups};

/// The build setting by which Lisp rules offer the groups.
pub const SETTING: &str = "@rbz//lisp:repl";

/// The group whose file says what is loaded.
pub const MANIFEST: &str = "repl_manifest";

/// The group of what must be there.
const NEEDED: &str = "repl";

/// The group of the targets' own files.
const OWN: &str = "repl_own";

/// What is loaded if nothing is asked for.
const TOOLCHAIN: &str = "@lisp//:toolchain";

/// Options of SBCL's runtime, which come before all others; each with whether a value follows.
const RUNTIME_OPTIONS: [(&str, bool); 12] = [
    ("--control-stack-size", true),
    ("--core", true),
    ("--debug-environment", false),
    ("--default-merge-core-pages", false),
    ("--disable-ldb", false),
    ("--dynamic-space-size", true),
    ("--help", false),
    ("--lose-on-corruption", false),
    ("--merge-core-pages", false),
    ("--no-merge-core-pages", false),
    ("--tls-limit", true),
    ("--version", false),
];

/// Builds what the Lisp loads, and yields the command that starts it; nothing if it is not to be started.
/// The caller gives the request lock back and then becomes it.
pub fn build(
    workspace: &Workspace,
    request: &BuildRequest,
    repl: &ReplRequest,
    console: &mut Console,
) -> Result<Option<Command>, CommandError> {
    if !request.execute {
        return Err(CommandError::command_line("`rbz repl --nobuild` has nothing to load"));
    }
    let built = build_groups(workspace, request, repl, &[MANIFEST, NEEDED], console)?;
    if failure_kind(&built).is_some() {
        finish(&built, console)?;
    }
    let targets = lisp_targets(&built.plan, repl)?;
    let mut unbuilt = HashSet::new();
    if targets.iter().any(|target| !group(target, OWN).is_empty()) {
        let own = build_groups(workspace, request, repl, &[OWN], console)?;
        unbuilt = missing(&own);
        if let Some(kind) = failure_kind(&own)
            && (repl.prepare.is_some() || kind != ErrorKind::BuildFailed)
        {
            finish(&own, console)?;
        }
        if !unbuilt.is_empty() {
            let text = format!(
                "{} could not be built: the Lisp loads the source",
                count(unbuilt.len(), "file")
            );
            console.message(Severity::Warning, &text);
        }
    }
    let manifests = targets.iter().map(|target| manifest(target, &built));
    let manifests = manifests.collect::<Result<Vec<String>, _>>()?;
    let lines = Lines { workspace, repl, built: &built, manifests: &manifests, unbuilt: &unbuilt };
    let text = lines.text()?;
    if let Some(file) = &repl.prepare {
        write(file, &text)?;
        return Ok(None);
    }
    let name = format!("{}.parameters", &Fingerprint::of(lines.name()).to_hex()[..16]);
    let file = directory(workspace).join(name);
    write(&file, &text)?;
    let command = command(&manifests[0], &built.execution_root, &file, &repl.arguments)?;
    if repl.print_command {
        write_data(&format!("{}\n", shown(&command)))?;
        return Ok(None);
    }
    Ok(Some(command))
}

/// Where files of running loops are.
fn directory(workspace: &Workspace) -> PathBuf {
    workspace.directories.output_base.join("repl")
}

/// Builds output groups of the targets.
fn build_groups(
    workspace: &Workspace,
    request: &BuildRequest,
    repl: &ReplRequest,
    groups: &[&str],
    console: &mut Console,
) -> Result<Built, CommandError> {
    let mut request = request.clone();
    request.residue = repl.targets.clone();
    if request.residue.is_empty() {
        request.residue.push(TOOLCHAIN.to_owned());
    }
    // It is loaded before what it is to look at.
    if let Some(label) = repl.server.as_ref().and_then(|server| server.label.clone()) {
        request.residue.insert(0, label);
    }
    request.settings.push((SETTING.to_owned(), "true".to_owned()));
    request.output_groups = OutputGroups {
        default: false,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    };
    // Of the targets' own files as many as possible.
    request.keep_going |= groups == [OWN];
    let (own, result) = workspace.build(Purpose::Repl, &request, console.take());
    *console = own;
    result
}

fn group(target: &RequestedTarget, name: &str) -> Vec<Artifact> {
    target.output_groups.get(name).map(|files| files.to_files()).unwrap_or_default()
}

/// The targets that say what a Lisp loads. Patterns may name others too.
fn lisp_targets<'a>(
    plan: &'a Plan,
    repl: &ReplRequest,
) -> Result<Vec<&'a RequestedTarget>, CommandError> {
    let is_lisp = |target: &&RequestedTarget| target.output_groups.contains_key(MANIFEST);
    let targets: Vec<_> = plan.requested.iter().filter(is_lisp).collect();
    let is_pattern = |text: &String| {
        text.contains("...") || [":all", ":*", ":all-targets"].iter().any(|end| text.ends_with(end))
    };
    let other = plan.requested.iter().find(|target| !is_lisp(target));
    match other {
        Some(other) if targets.is_empty() || !repl.targets.iter().any(is_pattern) => {
            Err(CommandError::command_line(format!(
                "there is no Lisp in `{}`: it is a `{}`",
                other.label, other.rule
            ))
            .hint("`rbz query 'kind(\"lisp_.* rule\", //...)'` lists the targets that have")
            .hint("`rbz repl` without a target is a Lisp with nothing loaded"))
        }
        _ if targets.is_empty() => {
            let text = format!("`{}` names no targets", repl.targets.join(" "));
            Err(CommandError::command_line(text))
        }
        _ => Ok(targets),
    }
}

/// The exec paths of the targets' own files that are not there.
fn missing(built: &Built) -> HashSet<String> {
    let done: HashSet<_> = built.outcome.iter().flat_map(|outcome| &outcome.done).collect();
    let files = built.plan.requested.iter().flat_map(|target| group(target, OWN));
    files
        .filter(|file| {
            let action = built.plan.generating(file);
            action.is_some_and(|action| !done.contains(&action))
        })
        .map(|file| file.exec_path().to_owned())
        .collect()
}

/// What the rule of a target says.
fn manifest(target: &RequestedTarget, built: &Built) -> Result<String, CommandError> {
    let files = group(target, MANIFEST);
    let Some(file) = files.first() else {
        let text = format!("the rule of `{}` does not say what is loaded", target.label);
        return Err(CommandError::new(ErrorKind::Internal, text));
    };
    let path = built.execution_root.join(file.exec_path());
    std::fs::read_to_string(&path).map_err(|error| {
        CommandError::environment(format!("cannot read `{}`: {error}", path.display()))
    })
}

/// What the Lisp is told.
struct Lines<'a> {
    workspace: &'a Workspace<'a>,
    repl: &'a ReplRequest,
    built: &'a Built,
    manifests: &'a [String],
    /// The targets' own files that are not there.
    unbuilt: &'a HashSet<String>,
}

impl Lines<'_> {
    /// The words that rbz was called with, without those for the Lisp.
    fn own_words(&self) -> impl Iterator<Item = &str> {
        let words = &self.workspace.environment.arguments;
        words.iter().map(String::as_str).take_while(|word| *word != "--")
    }

    /// What tells loops apart that may run at the same time.
    fn name(&self) -> String {
        let directory = &self.workspace.environment.current_directory;
        format!("{:?} {directory:?}", self.own_words().collect::<Vec<_>>())
    }

    fn text(&self) -> Result<String, CommandError> {
        let Lines { workspace, repl, built, .. } = self;
        let environment = workspace.environment;
        let mut text = String::new();
        let mut line = |key: &str, value: &str| text += &format!("{key} {value}\n");
        line("workspace", &workspace.root.to_string_lossy());
        line("outputs", &built.execution_root.to_string_lossy());
        for (name, directory) in built.plan.repositories.iter().filter(|(name, _)| !name.is_main())
        {
            // An editor is to show the file itself, not a link to it.
            let directory = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            line("repository", &format!("{} {}", name.as_str(), directory.to_string_lossy()));
        }
        line("rbz", environment.variables.get("RBZ").map_or("rbz", |program| program));
        line("directory", &format!("{}/", environment.here()?.to_string_lossy()));
        for word in self.own_words() {
            line("argument", word);
        }
        if let (Some(server), None) = (&repl.server, &repl.prepare) {
            line("server", server.kind.name());
            if server.label.is_none() {
                let loader = server.kind.loader(environment)?;
                line("server-loader", &loader.to_string_lossy());
            }
            line("server-port", &server.free_port()?.to_string());
            let file = format!("rbz-out/{}-port", server.kind.name());
            line("port-file", &built.execution_root.join(file).to_string_lossy());
            let fasls = directory(workspace).join(server.kind.name());
            line("server-fasls", &fasls.to_string_lossy());
        }
        for own in self.manifests.iter().flat_map(|manifest| manifest.lines()) {
            match own.split_once(' ') {
                Some(("fasl", path)) if self.unbuilt.contains(path) => line("failed", path),
                Some((key, value)) => line(key, value),
                None => {}
            }
        }
        Ok(text)
    }
}

/// Writes a file in the place of another that somebody may be reading.
fn write(file: &Path, text: &str) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::environment(format!("cannot write `{}`: {error}", file.display()))
    };
    let parent = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    let temporary = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    std::fs::write(temporary.path(), text).map_err(failed)?;
    temporary.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The command that starts the Lisp.
fn command(
    manifest: &str,
    execution_root: &Path,
    file: &Path,
    arguments: &[String],
) -> Result<Command, CommandError> {
    let value = |key: &str| {
        let of_key = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(' ')?.to_owned());
        manifest.lines().find_map(of_key).ok_or_else(|| {
            CommandError::new(ErrorKind::Internal, format!("`{key}` is missing in a manifest"))
        })
    };
    let (runtime, toplevel) = divided(arguments);
    let mut command = Command::new(value("program")?);
    command
        .env("SBCL_HOME", value("home")?)
        .arg("--core")
        .arg(execution_root.join(value("driver")?))
        .arg("--noinform")
        .args(runtime)
        .args(["--end-runtime-options", "repl"])
        .arg(execution_root.join(value("repl")?))
        .arg(file)
        .args(toplevel);
    Ok(command)
}

/// The options of the runtime that arguments of a Lisp begin with, and the rest.
fn divided(arguments: &[String]) -> (&[String], &[String]) {
    let mut at = 0;
    while let Some(word) = arguments.get(at) {
        let known = RUNTIME_OPTIONS.iter().find(|(name, _)| name == word);
        match known {
            Some((_, has_value)) => at += 1 + usize::from(*has_value),
            None if word == "--noinform" => at += 1,
            None => break,
        }
    }
    let (runtime, rest) = arguments.split_at(at.min(arguments.len()));
    match rest.split_first() {
        Some((first, rest)) if first == "--end-runtime-options" => (runtime, rest),
        _ => (runtime, rest),
    }
}

/// A command as a shell takes it.
fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    shell_words::join(std::iter::once("env".to_owned()).chain(variables).chain(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_runtime_come_first() {
        let of = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let (runtime, rest) = divided(&words);
            (runtime.join(" "), rest.join(" "))
        };
        let split = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("--no-userinit --eval 1"), split("", "--no-userinit --eval 1"));
        assert_eq!(
            of("--dynamic-space-size 4GB --noinform --no-userinit"),
            split("--dynamic-space-size 4GB --noinform", "--no-userinit")
        );
        assert_eq!(of("--end-runtime-options --eval 1"), split("", "--eval 1"));
        assert_eq!(of("--dynamic-space-size"), split("--dynamic-space-size", ""));
    }
}
