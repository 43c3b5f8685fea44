//! Rules that hold for every object of the schema and every file of `sql/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Outbox;

/// Objects that break a rule; none may.
const RULES: [(&str, &str); 6] = [
    (
        "a security definer function has a search path of its own",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'conversion_outbox'::regnamespace and prosecdef
            and not coalesce(proconfig @> '{\"search_path=conversion_outbox, pg_temp\"}', false)",
    ),
    (
        "no function is for everybody",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'conversion_outbox'::regnamespace
            and (proacl is null or exists (select from aclexplode(proacl) where grantee = 0))",
    ),
    (
        "no table is for everybody",
        "select oid::regclass::text from pg_class where relnamespace = 'conversion_outbox'::regnamespace
            and exists (select from aclexplode(relacl) where grantee = 0)",
    ),
    (
        "everything belongs to the owner role",
        "select oid::regclass::text from pg_class where relnamespace = 'conversion_outbox'::regnamespace
            and relowner <> 'conversion_outbox_owner'::regrole
         union all select oid::regprocedure::text from pg_proc where pronamespace = 'conversion_outbox'::regnamespace
            and proowner <> 'conversion_outbox_owner'::regrole",
    ),
    (
        "every table, view and function says what it is for",
        "select oid::regclass::text from pg_class where relnamespace = 'conversion_outbox'::regnamespace
            and relkind in ('r', 'p', 'v') and obj_description(oid, 'pg_class') is null
         union all select oid::regprocedure::text from pg_proc where pronamespace = 'conversion_outbox'::regnamespace
            and obj_description(oid, 'pg_proc') is null",
    ),
    (
        "a column of json, of a clock or of a count says what it holds, unless its name is that",
        "select attrelid::regclass || '.' || attname from pg_attribute join pg_class c on c.oid = attrelid
          where relnamespace = 'conversion_outbox'::regnamespace and relkind in ('r', 'p') and attnum > 0 and not attisdropped
            and (atttypid = 'jsonb'::regtype or attname in ('claim_no', 'lease_until', 'due_at', 'intent_at', 'permit', 'attempts'))
            and col_description(attrelid, attnum) is null",
    ),
];

#[tokio::test]
async fn every_object_keeps_the_rules() {
    let admin = Outbox::new().await.admin().await;
    for (rule, offenders) in RULES {
        assert_eq!(
            admin.all::<String>(offenders).await,
            Vec::<String>::new(),
            "{rule}"
        );
    }
}

#[test]
fn every_query_is_lower_case_and_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String = files(&root.join("src"), "rs")
        .iter()
        .map(|file| read(file))
        .collect();
    for folder in ["bench", "demo", "pages", "queries", "report", "torture"] {
        for file in files(&root.join("sql").join(folder), "sql") {
            let name = file
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a name");
            assert!(
                sources.contains(&format!("sql/{folder}/{name}\"")),
                "{name} is used by no Rust file"
            );
            assert_lower_case(&file);
        }
    }
    for file in files(&root.join("sql/migrations"), "sql") {
        assert_lower_case(&file);
    }
}

/// Keywords in upper case outside comments and quotes.
fn assert_lower_case(file: &Path) {
    for line in read(file).lines() {
        let code = line.split("--").next().unwrap_or_default();
        let code: String = code.split('\'').step_by(2).collect();
        for word in code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            assert!(
                ![
                    "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "WHERE", "CREATE", "TABLE"
                ]
                .contains(&word),
                "{file:?}: {line}"
            );
        }
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("readable")
}

/// The names between backquotes in the last column of every table of a page.
fn named_tests(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(|shown_by| shown_by.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn every_promise_of_the_table_of_faults_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/faults.md")).expect("the table of faults");
    let named = named_tests(&page);
    assert!(named.len() > 30, "the table was read");
    for name in named {
        let path = root.join("tests/it").join(name.replace("::", "/"));
        let is_module = path.with_extension("rs").is_file() || path.is_dir();
        let (module, test) = name.rsplit_once("::").unwrap_or((name, ""));
        let file = root.join("tests/it").join(module.replace("::", "/"));
        let texts = [file.with_extension("rs"), file.join("mod.rs")];
        let is_test = texts.iter().any(|text| {
            fs::read_to_string(text).is_ok_and(|text| text.contains(&format!("fn {test}()")))
        });
        assert!(is_module || is_test, "no test is called {name}");
    }
}
