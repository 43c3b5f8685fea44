//! Every kind of fault, with its place, and the overlay of variables.

use super::*;

type Variables = [(&'static str, &'static str)];

fn report<T>(
    text: &str,
    variables: &Variables,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, String> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    read_config(text, "config.toml", variables, read).map_err(|faults| faults.to_string())
}

#[track_caller]
fn check_faults<T>(
    text: &str,
    variables: &Variables,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    expected: &[&str],
) {
    let report = report(text, variables, read)
        .err()
        .expect("there are faults");
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{report}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "expected {start}\nfound    {line}");
    }
}

#[test]
fn each_kind_of_value_has_its_fault_and_line() {
    let text = "text = 1\nnumber = 'x'\nnumber_range = 99\nflag = 'yes'\nword = 'reed'\nlist = 'a'\nshare = 2\n\
                table = 3\nsecret = 'token'\ntables = { a = 1 }\nmap = { a = 1 }\n";
    let faults = [
        "config.toml:1: text must be text. Fix: put it in double quotes.",
        "config.toml:2: number must be a whole number from 1 to 9.",
        "config.toml:3: number_range must be a whole number from 1 to 9.",
        "config.toml:4: flag must be true or false.",
        "config.toml:5: word must be one of \"red\", \"green\". Fix: did you mean \"red\"?",
        "config.toml:6: list must be a list of texts.",
        "config.toml:7: share must be a number from 0 to 1.",
        "config.toml:8: table must be a table.",
        "config.toml:9: secret must be a reference, not a literal.",
        "config.toml:10: tables must be a list of tables.",
        "config.toml:11: map.a must be text.",
    ];
    check_faults(
        text,
        &[],
        |r| {
            r.text("text");
            r.integer("number", 1..=9);
            r.integer("number_range", 1..=9);
            r.boolean("flag");
            r.one_of("word", &[("red", 1), ("green", 2)]);
            r.list_of_text("list");
            r.share("share");
            r.table("table", |_| Some(()));
            r.secret("secret");
            r.tables("tables", |_| Some(()));
            r.map_of_text("map");
            Some(())
        },
        &faults,
    );
}
