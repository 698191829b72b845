//! Machines that are not as they should be.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use rbz_integration_tests::projects::{build_file, one_file, tower};
use rbz_integration_tests::system::{is_root, output_of};
use rbz_integration_tests::workspace::set_mode;
use rbz_integration_tests::{Workspace, binary};

/// Runs `rbz` without the right to pass over permission bits, which root has.
fn obeying_permissions() -> Vec<&'static str> {
    match is_root() {
        true => vec!["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"],
        false => vec!["env"],
    }
}

/// Runs a shell command in a mount namespace of its own, then `rbz`.
fn after_mounting(command: &str) -> Vec<String> {
    let script = format!("set -e; {command}; exec \"$@\"");
    let mut words = vec!["unshare", "--mount"];
    if !is_root() {
        words.push("--map-root-user");
    }
    words.extend(["sh", "-c", &script, "sh"]);
    words.into_iter().map(str::to_owned).collect()
}

/// A directory with links to every program of the machine except those that begin with `without`.
fn programs_without(ws: &Workspace, without: &str) -> PathBuf {
    let directory = ws.base().join("programs");
    std::fs::create_dir(&directory).expect("the temporary directory can be written");
    for entry in std::fs::read_dir("/usr/bin").expect("there are programs").flatten() {
        if !entry.file_name().to_string_lossy().starts_with(without) {
            symlink(entry.path(), directory.join(entry.file_name())).expect("a link can be made");
        }
    }
    directory
}

#[test]
fn no_lisp_is_installed() {
    let ws = one_file("(defun f () 1)\n").build();
    let programs = programs_without(&ws, "sbcl");
    let path = programs.to_string_lossy();
    assert_snapshot!(ws.rbz("build //:lib").env("PATH", &path).exit_code(1).run().golden_errors());

    // What needs no Lisp is built all the same.
    ws.write("sh/BUILD", "genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n");
    ws.rbz("build //sh:o").env("PATH", &path).run();
    // And once it is there, it is found.
    ws.rbz("build //:lib").run();
}

/// A library over an SBCL of its own: a copy of the machine's below the temporary directory.
/// Yields the prefix of the copy too.
fn with_own_lisp() -> (Workspace, PathBuf) {
    let ws = one_file("(defun f () 1)\n").own_cache().build();
    let prefix = ws.base().join("sbcl");
    for (from, to) in [("/usr/bin/sbcl", "bin/sbcl"), ("/usr/lib/sbcl", "lib/sbcl")] {
        assert!(Path::new(from).exists(), "there is no {from}: `cargo xtask setup` installs it");
        for entry in walkdir::WalkDir::new(from) {
            let entry = entry.expect("the system's files can be read");
            let below = entry.path().strip_prefix(from).expect("the walk began there");
            // Joining nothing would add a slash, which a file cannot have.
            let to = match below.as_os_str().is_empty() {
                true => prefix.join(to),
                false => prefix.join(to).join(below),
            };
            if entry.file_type().is_file() {
                std::fs::create_dir_all(to.parent().expect("it is below")).expect("a directory");
                std::fs::copy(entry.path(), to).expect("the directory can be written");
            }
        }
    }
    let path = prefix.join("bin/sbcl").display().to_string();
    ws.write(
        "WORKSPACE",
        &format!(
            "load(\"@rbz//lisp:sbcl_configure.bzl\", \"sbcl_configure\")\n\
             sbcl_configure(name = \"lisp\", path = \"{path}\")\n"
        ),
    );
    (ws, prefix)
}

#[test]
fn a_lisp_that_was_upgraded_compiles_everything_again() {
    let (ws, prefix) = with_own_lisp();
    let program = prefix.join("bin/sbcl");
    let compiled = || ws.rbz("build //:lib").run().ran_of("LispCompile").len();
    assert_eq!(compiled(), 1);
    assert_eq!(compiled(), 0);
    let old = std::fs::read(&program).expect("it was copied");
    // What stands after the end of a program changes nothing but its content.
    std::fs::write(&program, [&old[..], b"newer"].concat()).expect("it can be written");
    assert_eq!(compiled(), 1, "another content is another Lisp");
    std::fs::write(&program, &old).expect("it can be written");
    let back = ws.rbz("build //:lib").run();
    assert!(back.ran().is_empty(), "the old one is known: {back}");
}

#[test]
fn a_lisp_whose_core_is_broken() {
    let (ws, prefix) = with_own_lisp();
    let core = prefix.join("lib/sbcl/sbcl.core");
    let whole = std::fs::read(&core).expect("it was copied");
    std::fs::write(&core, "no core\n").expect("it can be written");
    let outcome = ws.rbz("build //:lib").exit_code(1).run();
    outcome.stderr_has("@lisp//:toolchain: Preparing the Lisp implementation failed");
    outcome.stderr_has("core file");
    std::fs::write(&core, whole).expect("it can be written");
    ws.rbz("build //:lib").run();
}

#[test]
fn a_lisp_that_is_too_old_or_none_at_all() {
    let (ws, prefix) = with_own_lisp();
    let program = prefix.join("bin/sbcl");
    let fake = |script: &str| {
        std::fs::write(&program, script).expect("it can be written");
        ws.rbz("build //:lib").exit_code(1).run()
    };
    fake("#!/bin/sh\necho SBCL 1.4.16\n").stderr_has("is SBCL 1.4.16, which is too old");
    fake("#!/bin/sh\necho broken >&2; exit 1\n").stderr_has("--version failed: broken");
}

#[test]
fn a_source_that_cannot_be_read() {
    let ws = one_file("(defun f () 1)\n").build();
    set_mode(&ws.path("lib.lisp"), 0o000);
    let outcome = ws.rbz("build //:lib").wrapped(obeying_permissions()).exit_code(1).run();
    set_mode(&ws.path("lib.lisp"), 0o644);
    assert_snapshot!(outcome.golden_errors());
    ws.rbz("build //:lib").run();
}

#[test]
fn a_build_file_that_cannot_be_read() {
    let ws = one_file("(defun f () 1)\n").build();
    set_mode(&ws.path("BUILD"), 0o000);
    let outcome = ws.rbz("build //:lib").wrapped(obeying_permissions());
    let outcome = outcome.exit_code(36).run();
    set_mode(&ws.path("BUILD"), 0o644);
    assert_snapshot!(outcome.golden_errors());
}

#[test]
fn a_build_file_that_is_no_text() {
    let ws = build_file("").build();
    std::fs::write(ws.path("BUILD"), b"x = \"\xff\xfe\"\n").expect("the workspace can be written");
    ws.rbz("build //...").exit_code(1).run().stderr_has("BUILD").stderr_has("UTF-8");
}

/// A genrule that writes 60 MB.
fn sixty_megabytes() -> Workspace {
    let command = "head -c 60000000 /dev/zero | tr '\\\\0' x > $@";
    build_file(&format!("genrule(name = \"o\", outs = [\"o.bin\"], cmd = \"{command}\")\n"))
        .own_cache()
        .build()
}

/// Mounts a file system of 48 MB at `directory`: room for the shell, but not for the output.
fn small_disk_at(directory: &Path) -> Vec<String> {
    std::fs::create_dir_all(directory).expect("the temporary directory can be written");
    after_mounting(&format!("mount -t tmpfs -o size=48m none '{}'", directory.display()))
}

fn assert_built_with_room(ws: &Workspace) {
    ws.rbz("build //:o").run();
    let length = std::fs::metadata(ws.path("rbz-bin/o.bin")).map(|data| data.len());
    assert_eq!(length.ok(), Some(60_000_000));
}

#[test]
fn the_disk_of_the_cache_is_full() {
    let ws = sixty_megabytes();
    let small = small_disk_at(ws.disk_cache());
    let outcome = ws.rbz("build //:o").wrapped(small).exit_code(36).run();
    outcome.stderr_has("No space left on device");
    assert_built_with_room(&ws);
}

#[test]
fn the_disk_of_the_outputs_is_full() {
    let ws = sixty_megabytes();
    let small = small_disk_at(ws.home());
    let outcome = ws.rbz("build //:o").wrapped(small);
    // It is the command that finds no room.
    outcome.exit_code(1).run().stderr_has("No space left on device");
    assert_built_with_room(&ws);
}

#[test]
fn a_source_tree_that_cannot_be_written() {
    let ws = tower().build();
    let root = ws.root().display().to_string();
    let read_only = after_mounting(&format!(
        "mount --bind '{root}' '{root}'; mount -o remount,ro,bind '{root}'"
    ));
    let outcome = ws.rbz("build //app").wrapped(read_only).run();
    assert!(!ws.path("rbz-bin").exists());
    // What cannot be seen through a link is shown where it is.
    let shown = outcome.stderr().lines().find_map(|line| line.strip_prefix("  /"));
    let program = format!("/{}", shown.expect("the program is shown"));
    assert_eq!(output_of(ws.base(), &program, &[]), "Hello, world!\n");
}

#[test]
fn what_the_user_has_in_the_place_of_a_link_stays() {
    let ws = build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n");
    let ws = ws.file("rbz-bin/mine.txt", "mine\n").build();
    let own = ws.base().join("own");
    std::fs::create_dir(&own).expect("the temporary directory can be written");
    symlink(&own, ws.path("rbz-testlogs")).expect("a link can be made");
    // Of an output base that is gone.
    symlink("/gone/0/execroot/w/rbz-out", ws.path("rbz-out")).expect("a link can be made");
    let outcome = ws.rbz("build //:o").run();
    outcome.stderr_has("WARNING: `rbz-bin` is not of rbz");
    outcome.stderr_has("WARNING: `rbz-testlogs` is not of rbz").stderr_lacks("`rbz-out` is not");
    assert_eq!(ws.read("rbz-out/k8-fastbuild/bin/o.txt"), "o\n");
    ws.rbz("clean").run();
    assert_eq!(ws.read("rbz-bin/mine.txt"), "mine\n");
    assert!(ws.path("rbz-testlogs").is_symlink() && !ws.path("rbz-out").is_symlink());

    // Nor is a directory taken for rbz's own in which somebody else has something.
    let letters = ws.base().join("letters");
    std::fs::create_dir(&letters).expect("the temporary directory can be written");
    std::fs::write(letters.join("letter"), "Dear Ann\n").expect("it can be written");
    let base = format!("--output_base={}", letters.display());
    let cache = format!("--disk_cache={}", letters.display());
    for command in [
        [&*base, "build", "//:o"],
        [&*base, "clean", "--expunge"],
        ["clean", "--disk_cache_too", &*cache],
    ] {
        ws.rbz_args(command).exit_code(2).run().stderr_has("has files that are not of rbz");
    }
    let base = format!("--output_base={}", ws.base().display());
    let outcome = ws.rbz_args([&*base, "clean", "--expunge"]).exit_code(2).run();
    outcome.stderr_has("holds the workspace");
    assert!(ws.base().join("letters/letter").exists());
}

#[test]
fn a_workspace_may_have_any_name_and_be_reached_by_any() {
    let ws = tower().in_directory("a \"ü\n漢").build();
    ws.rbz("run //app").run().stdout_has("Hello, world!");
    let base = ws.rbz("info output_base").run();
    let link = ws.base().join("link");
    symlink(ws.root(), &link).expect("a link can be made");
    let through = ["sh", "-c", "cd \"$0\" && exec \"$@\"", &link.display().to_string()];
    let through = through.map(str::to_owned);
    assert_eq!(ws.rbz("info output_base").wrapped(&through).run().stdout(), base.stdout());
    assert!(ws.rbz("build //...").wrapped(&through).run().ran_of("LispCompile").len() <= 1);
}

#[test]
fn a_home_that_cannot_be_written() {
    let ws = build_file("filegroup(name = \"f\")\n").build();
    set_mode(ws.home(), 0o555);
    let outcome = ws.rbz("build //:f").wrapped(obeying_permissions()).exit_code(36).run();
    set_mode(ws.home(), 0o755);
    outcome.stderr_has("Permission denied");
}

#[test]
fn an_ordinary_user() {
    if !is_root() {
        // All other tests are that already.
        return;
    }
    let ws = build_file(
        r#"
lisp_library(name = "lib", srcs = ["lib.lisp"])
sh_test(name = "t", srcs = ["t.sh"])
"#,
    )
    .file("lib.lisp", "(defun f () 1)\n")
    .file("t.sh", "#!/bin/bash\n[[ $(id -u) != 0 ]]\n")
    .own_cache()
    .build();
    let reachable = |path: &Path| {
        path.ancestors().all(|dir| rbz_integration_tests::workspace::mode(dir) & 0o005 == 0o005)
    };
    if !reachable(binary::rbz().parent().expect("it lies in a directory")) {
        eprintln!("skipped: the directory of the binary is closed to ordinary users");
        return;
    }
    for entry in walkdir::WalkDir::new(ws.base()).into_iter().flatten() {
        std::os::unix::fs::chown(entry.path(), Some(65534), Some(65534)).expect("root may do so");
    }
    let ordinary = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    ws.rbz("test //...").wrapped(ordinary).run();
}

#[test]
fn sources_keep_their_inode_mode_and_times() {
    use std::os::unix::fs::MetadataExt;
    let ws = tower().build();
    let file = ws.path("words/words.lisp");
    let stamp = || {
        let data = std::fs::metadata(&file).expect("the source is there");
        (data.ino(), data.mode(), data.nlink(), data.mtime_nsec(), data.ctime_nsec())
    };
    let before = stamp();
    ws.rbz("build //...").run();
    assert_eq!(stamp(), before);
}

#[test]
fn nothing_but_three_links_is_written_into_the_workspace() {
    let ws =
        build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo o > $@\")\n").build();
    ws.rbz("build //...").run();
    let entries = std::fs::read_dir(ws.root()).expect("the workspace can be read").flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["BUILD", "WORKSPACE", "rbz-bin", "rbz-out", "rbz-testlogs"]);
    ws.rbz("clean").run();
    assert!(!ws.path("rbz-bin").is_symlink());
}
