//! Diagnostics as text: failures of actions with everything that helps to mend them.

use std::fmt::Write;
use std::path::Path;

use rbz_engine::command_line::quote;
use rbz_engine::diagnostic::Place;
use rbz_engine::failure::{ActionFailure, FailureCause, UndeclaredInput};
use rbz_engine::label::Label;

/// How much is said about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The command line too.
    Verbose,
    /// What there is, and how to see more.
    WithAdvice,
    /// What there is.
    Plain,
}

/// The message about an action that failed.
pub fn render_failure(failure: &ActionFailure, detail: Detail) -> String {
    let ActionFailure { owner, cause, output, command, .. } = failure;
    let mut text = headline(failure);
    for stream in [&output.stdout, &output.stderr] {
        let stream = String::from_utf8_lossy(stream);
        if !stream.trim().is_empty() {
            text += &format!("\n{}", stream.trim_end());
        }
    }
    for input in &failure.undeclared {
        text += &format!("\n{}", render_undeclared(owner, &failure.mnemonic, input));
    }
    for hint in &failure.hints {
        text += &format!("\nhint: {hint}");
    }
    // Writing to a string does not fail.
    match cause {
        FailureCause::SourceMissing { label, .. } if label != owner => {
            let _ = write!(text, "\nhint: `{label}` names a file that is not there");
        }
        FailureCause::ChangedDuringBuild { .. } => {
            text += "\nhint: build again; what was made of it was not kept";
        }
        FailureCause::OutputsMissing(_) => {
            text += "\nhint: its command line succeeded without writing them: see what it writes";
        }
        _ => {}
    }
    match &failure.sandbox {
        Some(directory) => text += &format!("\n{}", render_kept(directory, &failure.mnemonic)),
        None if !command.is_empty() && detail == Detail::Verbose => {
            text += "\nhint: with `--sandbox_debug` its sandbox is kept, to run that again in it";
        }
        None if !command.is_empty() && detail == Detail::WithAdvice => {
            text += "\nhint: `--verbose_failures` shows its command line, `--sandbox_debug` keeps \
                     its directory";
        }
        None => {}
    }
    if detail == Detail::Verbose && !command.is_empty() {
        text += &format!("\n{}", command.join(" "));
    }
    text
}

/// The failure, with `place` in front of the lines that its process wrote about its target; `None` if
/// there are none.
pub fn with_place(failure: &ActionFailure, place: &Place) -> Option<ActionFailure> {
    let prefix = format!("{}: error: ", failure.owner);
    let text = String::from_utf8_lossy(&failure.output.stderr);
    if !text.lines().any(|line| line.starts_with(&prefix)) {
        return None;
    }
    let put = |line: &str| match line.strip_prefix(&prefix) {
        Some(rest) => format!("{place}: error: `{}`: {rest}", failure.owner),
        None => line.to_owned(),
    };
    let text: String = text.split_inclusive('\n').map(put).collect();
    let mut failure = failure.clone();
    failure.output.stderr = text.into_bytes().into();
    Some(failure)
}

/// The lines about the sandbox of an action of this kind that was kept as `directory`.
pub fn render_kept(directory: &Path, mnemonic: &str) -> String {
    let program = if mnemonic.starts_with("Lisp") { "sbcl" } else { "bash" };
    let directory = directory.display();
    let quoted = quote(&directory.to_string());
    format!(
        "hint: its directory was kept: `{directory}`\n\
         hint: this runs it there again, and with a program such as `{program}` behind it, that:\n    \
         rbz tool sandbox {quoted}"
    )
}

/// How a process ended that was killed by `signal`.
pub fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(name) => format!("killed by {}", name.as_str()),
        Err(_) => format!("killed by signal {signal}"),
    }
}

/// The message about an action that failed just as one did whose message was `earlier`.
pub fn render_repetition(failure: &ActionFailure, earlier: &str) -> String {
    format!("{}, just as {earlier} did", headline(failure))
}

/// What failed, in one line.
fn headline(failure: &ActionFailure) -> String {
    let ActionFailure { owner, mnemonic, message, cause, .. } = failure;
    format!("{owner}: {message} failed: {} ({mnemonic})", reason(cause))
}

fn reason(cause: &FailureCause) -> String {
    match cause {
        FailureCause::Exit(status) => format!("exit status {status}"),
        FailureCause::Signal(signal) => signal_name(*signal),
        FailureCause::Timeout(limit) => {
            format!("it took longer than {} seconds", limit.as_secs())
        }
        FailureCause::Memory(limit) => {
            format!(
                "it took more than {} MB of memory, the limit of --local_ram_resources",
                limit >> 20
            )
        }
        FailureCause::OutputsMissing(paths) => {
            format!("it did not write `{}`", paths.join("`, `"))
        }
        FailureCause::SourceMissing { path, .. } => format!("`{path}` does not exist"),
        FailureCause::SourceUnreadable { path, reason } => {
            format!("cannot read `{}`: {reason}", path.display())
        }
        FailureCause::Unfit { path, reason } => format!("`{path}` {reason}"),
        FailureCause::ChangedDuringBuild { path } => format!("`{path}` changed during the build"),
        FailureCause::Machine(reason) => reason.clone(),
        FailureCause::Interrupted => "it was interrupted".to_owned(),
    }
}

/// The message about a file that an action of `owner` looked for, but did not declare.
pub fn render_undeclared(owner: &Label, mnemonic: &str, input: &UndeclaredInput) -> String {
    let path = &input.path;
    let attributes = match mnemonic {
        "TestRunner" => "`data`",
        _ => "`srcs`, `deps` or `compile_data`",
    };
    if input.label.is_none() && path.starts_with('/') {
        return format!(
            "`{owner}` uses `{path}` of this machine, which its rule does not declare\n\
             hint: an action sees what its toolchains have: a shell and its tools are in \
             `@shell//:shell`, other files of the machine need a `system_files` target"
        );
    }
    if mnemonic == "CcCompile" {
        return undeclared_header(owner, input);
    }
    let Some(label) = &input.label else {
        return format!(
            "`{owner}` uses `{path}`, which exists but belongs to no target\n\
             hint: name it in a `filegroup` or `exports_files` of its package, and that in \
             {attributes} of `{owner}`"
        );
    };
    let name = if label.package() == owner.package() {
        format!(":{}", label.name())
    } else {
        label.to_string()
    };
    format!(
        "`{owner}` uses `{path}`, which exists but is not declared\n\
         hint: add `\"{name}\"` to {attributes} of `{owner}`"
    )
}

/// A header has a library: what includes it depends on that, not on the header.
fn undeclared_header(owner: &Label, input: &UndeclaredInput) -> String {
    let path = &input.path;
    let hint = match &input.label {
        Some(label) if label.package() == owner.package() => format!(
            "name it in `srcs` of `{owner}`, or in `hdrs` of a `cc_library` in its `deps`, \
             whichever includes it"
        ),
        Some(label) => format!(
            "a `cc_library` of `{}` must have it in `hdrs`, and `deps` of the target that includes \
             it that library",
            label.package()
        ),
        None => "no package has it: a `cc_library` must have it in `hdrs`".to_owned(),
    };
    format!("`{owner}` uses `{path}`, which exists but is not declared\nhint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbz_engine::event::ActionOutput;
    use rbz_engine::label::{PackageId, RepoName};

    fn failure(cause: FailureCause) -> ActionFailure {
        ActionFailure {
            owner: label("lib", "hello"),
            mnemonic: "LispCompile".into(),
            message: "Compiling lib/hello.lisp".into(),
            cause,
            output: ActionOutput::default(),
            command: vec!["/usr/bin/sbcl".into(), "--load".into(), "'a b.lisp'".into()],
            undeclared: vec![],
            hints: vec![],
            sandbox: None,
        }
    }

    fn label(package: &str, name: &str) -> Label {
        PackageId::new(RepoName::main(), package).label(name)
    }

    #[test]
    fn a_failed_process_shows_its_output() {
        let mut failure = failure(FailureCause::Exit(1));
        failure.output.stderr = b"lib/hello.lisp:3:1: warning: undefined variable: X\n"[..].into();
        insta::assert_snapshot!(render_failure(&failure, Detail::Verbose), @r#"
        //lib:hello: Compiling lib/hello.lisp failed: exit status 1 (LispCompile)
        lib/hello.lisp:3:1: warning: undefined variable: X
        hint: with `--sandbox_debug` its sandbox is kept, to run that again in it
        /usr/bin/sbcl --load 'a b.lisp'
        "#);
        failure.sandbox = Some("/cache/my base/kept/1-2".into());
        insta::assert_snapshot!(render_failure(&failure, Detail::Plain), @r#"
        //lib:hello: Compiling lib/hello.lisp failed: exit status 1 (LispCompile)
        lib/hello.lisp:3:1: warning: undefined variable: X
        hint: its directory was kept: `/cache/my base/kept/1-2`
        hint: this runs it there again, and with a program such as `sbcl` behind it, that:
            rbz tool sandbox '/cache/my base/kept/1-2'
        "#);
    }

    #[test]
    fn what_is_not_declared_is_named_with_the_line_that_declares_it() {
        let mut failure = failure(FailureCause::Exit(1));
        failure.undeclared = vec![
            UndeclaredInput {
                path: "lib/macros.lisp".into(),
                label: Some(label("lib", "macros.lisp")),
            },
            UndeclaredInput { path: "data/x.txt".into(), label: Some(label("data", "x")) },
            UndeclaredInput { path: "stray/y.txt".into(), label: None },
            UndeclaredInput { path: "/bin/bash".into(), label: None },
        ];
        insta::assert_snapshot!(render_failure(&failure, Detail::WithAdvice), @r#"
        //lib:hello: Compiling lib/hello.lisp failed: exit status 1 (LispCompile)
        `//lib:hello` uses `lib/macros.lisp`, which exists but is not declared
        hint: add `":macros.lisp"` to `srcs`, `deps` or `compile_data` of `//lib:hello`
        `//lib:hello` uses `data/x.txt`, which exists but is not declared
        hint: add `"//data:x"` to `srcs`, `deps` or `compile_data` of `//lib:hello`
        `//lib:hello` uses `stray/y.txt`, which exists but belongs to no target
        hint: name it in a `filegroup` or `exports_files` of its package, and that in `srcs`, `deps` or `compile_data` of `//lib:hello`
        `//lib:hello` uses `/bin/bash` of this machine, which its rule does not declare
        hint: an action sees what its toolchains have: a shell and its tools are in `@shell//:shell`, other files of the machine need a `system_files` target
        hint: `--verbose_failures` shows its command line, `--sandbox_debug` keeps its directory
        "#);
    }

    #[test]
    fn every_cause_is_a_sentence() {
        let causes = [
            FailureCause::Signal(11),
            FailureCause::Timeout(std::time::Duration::from_secs(60)),
            FailureCause::OutputsMissing(vec!["rbz-out/a".into(), "rbz-out/b".into()]),
            FailureCause::SourceMissing { path: "lib/x".into(), label: label("lib", "x") },
            FailureCause::SourceUnreadable { path: "/w/lib/x".into(), reason: "denied".into() },
            FailureCause::Unfit {
                path: "rbz-out/a".into(),
                reason: "is a directory, but was declared as a file".into(),
            },
            FailureCause::ChangedDuringBuild { path: "lib/x".into() },
            FailureCause::Machine("no space left on device".into()),
        ];
        let texts = causes.map(|cause| {
            let mut failure = failure(cause);
            failure.command.clear();
            render_failure(&failure, Detail::Plain)
        });
        insta::assert_snapshot!(texts.join("\n\n"), @r#"
        //lib:hello: Compiling lib/hello.lisp failed: killed by SIGSEGV (LispCompile)

        //lib:hello: Compiling lib/hello.lisp failed: it took longer than 60 seconds (LispCompile)

        //lib:hello: Compiling lib/hello.lisp failed: it did not write `rbz-out/a`, `rbz-out/b` (LispCompile)
        hint: its command line succeeded without writing them: see what it writes

        //lib:hello: Compiling lib/hello.lisp failed: `lib/x` does not exist (LispCompile)
        hint: `//lib:x` names a file that is not there

        //lib:hello: Compiling lib/hello.lisp failed: cannot read `/w/lib/x`: denied (LispCompile)

        //lib:hello: Compiling lib/hello.lisp failed: `rbz-out/a` is a directory, but was declared as a file (LispCompile)

        //lib:hello: Compiling lib/hello.lisp failed: `lib/x` changed during the build (LispCompile)
        hint: build again; what was made of it was not kept

        //lib:hello: Compiling lib/hello.lisp failed: no space left on device (LispCompile)
        "#);
    }
}
