//! Building a program and running it.

use rbz_integration_tests::projects::{build_file, tower};

const SHOW: &str = r##"#!/bin/bash
echo "arguments: $*"
echo "workspace: $BUILD_WORKSPACE_DIRECTORY"
echo "from: $BUILD_WORKING_DIRECTORY"
exit "${1:-0}"
"##;

#[test]
fn a_program_is_built_and_runs() {
    let ws = tower().build();
    ws.rbz("build //app").run().stderr_has("rbz-bin/app/app");
    let program = ws.path("rbz-bin/app/app");
    let output =
        std::process::Command::new(&program).current_dir("/").output().expect("it is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, world!\n");

    ws.rbz("run //app").run().stdout_has("Hello, world!\n");
}

#[test]
fn a_program_runs_after_it_was_copied_elsewhere_and_the_workspace_is_gone() {
    let ws = tower().build();
    ws.rbz("build //app").run();
    let copy = ws.base().join("copy");
    std::fs::copy(ws.path("rbz-bin/app/app"), &copy).expect("it is there");
    ws.rbz("clean --expunge").run();
    std::fs::remove_dir_all(ws.root()).expect("the workspace can be removed");
    let output = std::process::Command::new(&copy).current_dir("/").env_clear().output();
    assert_eq!(String::from_utf8_lossy(&output.expect("it starts").stdout), "Hello, world!\n");
}

#[test]
fn run_hands_over_arguments_environment_and_exit_status() {
    let ws = build_file("sh_binary(name = \"show\", srcs = [\"show.sh\"])\n")
        .file("show.sh", SHOW)
        .file("sub/BUILD", "")
        .build();
    let outcome = ws
        .rbz_args(["run", "//:show", "--", "7", "--flag", "two words"])
        .in_directory("sub")
        .exit_code(7)
        .run();
    outcome.stdout_has("arguments: 7 --flag two words\n");
    outcome.stdout_has(&format!("workspace: {}\n", ws.root().display()));
    outcome.stdout_has(&format!("from: {}\n", ws.path("sub").display()));
}

#[test]
fn run_gives_the_args_of_the_target_before_those_of_the_user() {
    let ws = build_file("sh_binary(name = \"show\", srcs = [\"show.sh\"], args = [\"0\", \"$(location :data.txt)\"], data = [\"data.txt\"])\n")
        .file("show.sh", SHOW)
        .file("data.txt", "")
        .build();
    ws.rbz("run //:show -- mine").run().stdout_has("arguments: 0 data.txt mine\n");
}

#[test]
fn a_program_finds_its_data_in_its_runfiles() {
    let ws =
        build_file("sh_binary(name = \"show\", srcs = [\"show.sh\"], data = [\"words.txt\"])\n")
            .file("show.sh", "#!/bin/bash\ncat \"$0.runfiles/test/words.txt\"\n")
            .file("words.txt", "from the runfiles\n")
            .build();
    ws.rbz("run //:show").run().stdout_has("from the runfiles\n");
}

#[test]
fn another_rbz_can_build_while_a_program_runs() {
    let ws = build_file("sh_binary(name = \"wait\", srcs = [\"wait.sh\"])\n")
        .file("wait.sh", "#!/bin/bash\necho ready > \"$BUILD_WORKSPACE_DIRECTORY/ready\"\nread -r _ < \"$BUILD_WORKSPACE_DIRECTORY/go\"\n")
        .build();
    let pipe = ws.path("go");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe can be made");
    let mut program = ws.rbz("run //:wait").spawn();
    while !ws.path("ready").exists() {
        assert!(program.is_running(), "the program waits: {}", program.wait());
        std::thread::yield_now();
    }
    ws.rbz("build //:wait").run();
    std::fs::write(&pipe, "\n").expect("the program reads");
    program.wait();
}

#[test]
fn run_of_something_that_is_no_program_is_an_error() {
    let ws = build_file("filegroup(name = \"files\", srcs = [])\n").build();
    let outcome = ws.rbz("run //:files").exit_code(2).run();
    outcome.stderr_has("//:files").stderr_has("executable");
}
