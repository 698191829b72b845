//! `.rbzrc`: options that nobody wants to type.

use rbz_integration_tests::Workspace;
use rbz_integration_tests::projects::build_file;

/// A workspace whose `//:o` writes the variable WORD.
fn word() -> Workspace {
    build_file("genrule(name = \"o\", outs = [\"o.txt\"], cmd = \"echo $(WORD) > $@\")\n").build()
}

fn built_word(ws: &Workspace, flags: &str) -> String {
    ws.rbz(&format!("build //:o {flags}")).run();
    ws.read("rbz-bin/o.txt").trim().to_owned()
}

#[test]
fn the_workspace_s_comes_before_the_user_s_and_the_command_line_last() {
    let ws = word();
    ws.write(".rbzrc", "# of the workspace\nbuild --define=WORD=workspace\n");
    assert_eq!(built_word(&ws, ""), "workspace");
    std::fs::write(ws.home().join(".rbzrc"), "build --define=WORD=home\n")
        .expect("the home can be written");
    assert_eq!(built_word(&ws, ""), "home");
    assert_eq!(built_word(&ws, "--define=WORD=typed"), "typed");
}

#[test]
fn common_applies_everywhere_and_test_takes_from_build() {
    let ws = word();
    ws.write(".rbzrc", "common --define=WORD=common\n");
    assert_eq!(built_word(&ws, ""), "common");
    ws.write(".rbzrc", "build --define=WORD=build\n");
    ws.rbz("test //:o").exit_code(4).run();
    assert_eq!(ws.read("rbz-bin/o.txt"), "build\n");
}

#[test]
fn a_config_is_a_set_of_options_with_a_name() {
    let ws = word();
    ws.write(
        ".rbzrc",
        "build --define=WORD=plain\nbuild:tea --define=WORD=tea\nbuild:both --config=tea\n",
    );
    assert_eq!(built_word(&ws, ""), "plain");
    assert_eq!(built_word(&ws, "--config=tea"), "tea");
    assert_eq!(built_word(&ws, "--config both"), "tea");
    let outcome = ws.rbz("build //:o --config=coffee").exit_code(2).run();
    outcome.stderr_has("coffee").stderr_has("tea");
}

#[test]
fn files_are_imported() {
    let ws = word();
    ws.write(
        ".rbzrc",
        "import %workspace%/tools/more.rbzrc\ntry-import %workspace%/not-there.rbzrc\n",
    );
    ws.write("tools/more.rbzrc", "build --define=WORD='two words'\n");
    assert_eq!(built_word(&ws, ""), "two words");
    ws.write(".rbzrc", "import %workspace%/not-there.rbzrc\n");
    ws.rbz("build //:o").exit_code(2).run().stderr_has("not-there.rbzrc");
}

#[test]
fn an_unknown_flag_is_a_warning_with_the_nearest_name() {
    let ws = word();
    ws.write(".rbzrc", "build --define=WORD=x\nbuild --verbose_failure\n");
    let outcome = ws.rbz("build //:o").run();
    outcome.stderr_has("WARNING").stderr_has("--verbose_failure").stderr_has("--verbose_failures");
    outcome.stderr_has(".rbzrc:2");
}

#[test]
fn rc_files_can_be_left_out() {
    let ws = word();
    ws.write(".rbzrc", "build --define=WORD=x\n");
    ws.rbz("--ignore_all_rc_files build //:o").exit_code(1).run().stderr_has("WORD");
}
