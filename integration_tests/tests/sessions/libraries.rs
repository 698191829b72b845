//! Real libraries as the distribution ships them, with their own tests, and programs on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbz_integration_tests::system::output_of;
use rbz_integration_tests::workspace::read;
use rbz_integration_tests::{Workspace, workspace, workspace_from};

const SOURCES: &str = "/usr/share/common-lisp/source";

/// The directory of a library.
fn installed(library: &str) -> PathBuf {
    let directory = Path::new(SOURCES).join(library);
    assert!(
        directory.is_dir(),
        "there is no {}: `cargo xtask setup` installs it",
        directory.display()
    );
    directory
}

/// The workspace over the sources of the system.
fn libraries() -> Workspace {
    for library in ["alexandria", "cl-ppcre", "ironclad", "fiveam"] {
        installed(library);
    }
    workspace_from("integration_tests/workspaces/libraries").build()
}

#[test]
fn a_project_for_asdf_builds_when_init_made_a_workspace_of_it() {
    installed("cl-trivial-gray-streams");
    let from = installed("cl-flexi-streams");
    let mut builder = workspace().in_directory("Ströme, flexibel");
    for name in std::fs::read_dir(&from).expect("it can be read").flatten() {
        let path = name.path();
        if path.is_file() {
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are ASCII");
            builder = builder.file(name, &read(&path));
        }
    }
    let ws = builder.build();
    ws.remove("WORKSPACE");
    ws.rbz("init").run().stdout_has("created third_party/trivial-gray-streams.BUILD");
    ws.write(
        "check/BUILD",
        r#"lisp_test(
    name = "check",
    expression = "(equal (flexi-streams:octets-to-string #(195 164) :external-format :utf-8) (string (code-char 228)))",
    deps = ["//:flexi-streams"],
)
"#,
    );
    let own = ws.read("BUILD");
    ws.write("BUILD", &format!("package(default_visibility = [\"//check:__pkg__\"])\n{own}"));
    ws.rbz("test //check --test_output=errors").run().stdout_has("PASSED");
}

#[test]
fn they_build_and_their_tests_pass_and_then_nothing_is_left_to_do() {
    let ws = libraries();
    ws.rbz("build //...").run();
    ws.rbz("test //... --test_output=errors").run();
    ws.rbz("build //...").run();
    let again = ws.rbz("build //...").traced().run();
    assert_eq!(again.trace().processes, Vec::<String>::new());
    assert_eq!(again.trace().opened_below(Path::new(SOURCES)), Vec::<String>::new());
    assert!(ws.rbz("test //...").run().ran().is_empty());

    ws.rbz("clean").run();
    let fetched = ws.rbz("build //...").run();
    assert!(fetched.ran().is_empty(), "everything is in the disk cache: {fetched}");

    programs_agree_with_those_of_the_system(&ws);

    // Elsewhere, from nothing, and with a process for each file: the same bytes.
    let kinds = [".fasl", "sums/sums~/sums.core", "sums/sums~/sums.o", "sums/sums"];
    let other = ws.clone_to("a clone/größer", true);
    other.rbz("build //... --strategy=sandboxed --shuffle").run();
    ws.assert_same_outputs(&other, &kinds, "elsewhere");
}

fn programs_agree_with_those_of_the_system(ws: &Workspace) {
    let data = ws.base().join("data");
    std::fs::create_dir(&data).expect("the temporary directory can be written");
    std::fs::write(data.join("a"), "one\ntwo\ncafé\n").expect("the directory can be written");
    std::fs::copy(ws.path("rbz-bin/lgrep/lgrep"), data.join("lgrep")).expect("it was built");
    std::fs::copy(ws.path("rbz-bin/sums/sums"), data.join("sums")).expect("it was built");

    for digest in ["md5", "sha1", "sha256", "sha512"] {
        let ours = output_of(&data, "./sums", &[digest, "a", "sums", "lgrep"]);
        assert_eq!(ours, output_of(&data, &format!("{digest}sum"), &["a", "sums", "lgrep"]));
    }

    let (key, vector) = ("000102030405060708090a0b0c0d0e0f", "0f0e0d0c0b0a09080706050403020100");
    output_of(&data, "./sums", &["encrypt", "ctr", key, vector, "lgrep", "ours"]);
    output_of(
        &data,
        "openssl",
        &["enc", "-aes-128-ctr", "-K", key, "-iv", vector, "-in", "lgrep", "-out", "theirs"],
    );
    output_of(&data, "cmp", &["ours", "theirs"]);
    output_of(&data, "./sums", &["decrypt", "ctr", key, vector, "theirs", "again"]);
    output_of(&data, "cmp", &["again", "lgrep"]);

    let perl = |program: &str, pattern: &str| {
        let output = Command::new(program)
            .args(if program == "grep" { &["-P", "-n"][..] } else { &["-n"] })
            .args(["--", pattern, "a"])
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&data)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    for pattern in ["o", "^.{3}$", "(?<=ca)f.", "nowhere", "(e)$"] {
        assert_eq!(perl("./lgrep", pattern), perl("grep", pattern), "{pattern}");
    }
}
