//! Rules about the house itself: who may use whom, how files are named, what no file may hold.
//!
//! A rule reads the tracked files and complains. Each brings a small house that breaks it, so that a
//! rule which no longer notices anything fails here too.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// One tracked file.
struct File {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

/// All of the tracked text files.
struct House(Vec<File>);

/// Something that a reader can rely on anywhere in the house.
struct Rule {
    says: &'static str,
    complaints: fn(&House) -> Vec<String>,
    broken_by: &'static [(&'static str, &'static str)],
}

/// Which room may use which, the bench harness included.
const EDGES: &[(&str, &[&str])] = &[
    ("mintkeep-protocol", &[]),
    ("mintkeep-store", &["mintkeep-protocol"]),
    ("mintkeep-web", &["mintkeep-protocol"]),
    ("mintkeep-issuer", &["mintkeep-protocol", "mintkeep-web"]),
    ("mintkeep-keeper", &["mintkeep-protocol", "mintkeep-web"]),
    ("mintkeep-bench", &["mintkeep-protocol", "mintkeep-store"]),
    (
        "mintkeep",
        &["mintkeep-protocol", "mintkeep-store", "mintkeep-web", "mintkeep-issuer", "mintkeep-keeper"],
    ),
];

/// What the tests of these rooms may use besides: a store to run over, in memory.
const TESTED_OVER: &[(&str, &str)] =
    &[("mintkeep-issuer", "mintkeep-store"), ("mintkeep-keeper", "mintkeep-store")];

/// What a pure room may not even have in its manifest: runtimes, servers, sockets, databases.
const IMPURE: &[&str] =
    &["tokio", "axum", "hyper", "tower", "rusqlite", "deadpool", "sqlx", "rustls", "reqwest"];

/// The libraries that speak SQL.
const SQL_LIBRARIES: &[&str] = &["rusqlite", "tokio-postgres", "deadpool-postgres", "sqlx"];

const LINES_MAX: usize = 500;

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule {
        says: "a room uses only the rooms below it",
        complaints: crate_edges,
        broken_by: &[("crates/keeper/Cargo.toml", "[package]\nname='mintkeep-keeper'\n[dependencies]\nmintkeep-store.workspace=true")],
    },
    Rule {
        says: "the protocol is pure",
        complaints: protocol_is_pure,
        broken_by: &[("crates/protocol/Cargo.toml", "[package]\nname='mintkeep-protocol'\n[dependencies]\ntokio-util='1'")],
    },
    Rule {
        says: "only the store speaks SQL",
        complaints: sql_is_the_stores,
        broken_by: &[("crates/issuer/src/x.rs", "let sql = \"UPDATE app SET name = 1\";")],
    },
    Rule {
        says: "only the store has a database library",
        complaints: sql_libraries_are_the_stores,
        broken_by: &[("crates/web/Cargo.toml", "[package]\nname='mintkeep-web'\n[dependencies]\nrusqlite.workspace=true")],
    },
    Rule {
        says: "errors have types below the binary",
        complaints: anyhow_is_the_binarys,
        broken_by: &[("crates/web/Cargo.toml", "[package]\nname='mintkeep-web'\n[dependencies]\nanyhow.workspace=true")],
    },
    Rule {
        says: "every member takes the workspace's lints",
        complaints: lints_are_inherited,
        broken_by: &[("crates/web/Cargo.toml", "[package]\nname='mintkeep-web'\n[lints]\nworkspace=false")],
    },
    Rule {
        says: "a file is named for what it holds",
        complaints: names_say_something,
        broken_by: &[("crates/web/src/utils.rs", "//! Bits.")],
    },
    Rule {
        says: "a source file fits in a head",
        complaints: files_are_short,
        broken_by: &[("crates/web/src/long.rs", LONG)],
    },
    Rule {
        says: "a source file begins by saying what it is",
        complaints: files_introduce_themselves,
        broken_by: &[("crates/web/src/mute.rs", "use std::fmt;\n//! Too late.")],
    },
    Rule {
        says: "a lint is expected with a reason, never switched off",
        complaints: lints_are_expected,
        broken_by: &[("src/x.rs", concat!("#[", "allow(dead_code)]"))],
    },
    Rule {
        says: "nothing is left undone, and no test is skipped",
        complaints: nothing_is_left_undone,
        broken_by: &[("src/x.rs", concat!("fn later() { to", "do!() }"))],
    },
    Rule {
        says: "the map shows every crate, and nothing that is not there",
        complaints: the_map_is_true,
        broken_by: &[("crates/attic/Cargo.toml", "[package]\nname='mintkeep-attic'"), ("ARCHITECTURE.md", "Only `src/`.")],
    },
    Rule {
        says: "a link between our pages leads somewhere",
        complaints: links_lead_somewhere,
        broken_by: &[("docs/a.md", "See [that](../b.md#part).")],
    },
    Rule {
        says: "no file names a folder of one machine",
        complaints: no_machine_paths,
        broken_by: &[("scripts/x", concat!("cd /ro", "ot/mintkeep"))],
    },
];

/// A source file one line over the limit, but for its introduction.
const LONG: &str = match std::str::from_utf8(&[b'\n'; LINES_MAX + 1]) {
    Ok(lines) => lines,
    Err(_) => "",
};

fn crate_edges(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for (file, manifest) in manifests(house) {
        let name = package_name(&manifest);
        let Some((_, may_use)) = EDGES.iter().find(|(room, _)| *room == name) else {
            complaints.push(format!("{}: {name} is a room that this test does not know", file.path));
            continue;
        };
        let rooms = dependencies(&manifest).into_iter().filter(|used| used.starts_with("mintkeep"));
        let in_tests = |used: &str| TESTED_OVER.contains(&(&name, used)) && is_for_tests(&manifest, used);
        let wrong = rooms.filter(|used| !may_use.contains(&used.as_str()) && !in_tests(used));
        complaints.extend(wrong.map(|used| format!("{}: uses {used}", file.path)));
    }
    complaints
}

fn protocol_is_pure(house: &House) -> Vec<String> {
    let is_impure = |used: &String| IMPURE.iter().any(|impure| used.starts_with(impure));
    dependencies_outside(house, |room| room != "mintkeep-protocol", |used| is_impure(used))
}

fn sql_libraries_are_the_stores(house: &House) -> Vec<String> {
    dependencies_outside(
        house,
        |room| room == "mintkeep-store",
        |used| SQL_LIBRARIES.contains(&used.as_str()),
    )
}

fn anyhow_is_the_binarys(house: &House) -> Vec<String> {
    dependencies_outside(
        house,
        |room| room == "mintkeep" || room == "mintkeep-bench",
        |used| used == "anyhow",
    )
}

fn lints_are_inherited(house: &House) -> Vec<String> {
    let strays = manifests(house).into_iter().filter(|(_, manifest)| {
        manifest.get("lints").and_then(|lints| lints.get("workspace")) != Some(&toml::Value::Boolean(true))
    });
    strays.map(|(file, _)| format!("{}: lacks `[lints] workspace = true`", file.path)).collect()
}

fn sql_is_the_stores(house: &House) -> Vec<String> {
    const PHRASES: &[(&str, &str)] = &[
        ("SELECT ", " FROM "),
        ("INSERT ", "INTO "),
        ("UPDATE ", " SET "),
        ("DELETE ", "FROM "),
        ("CREATE ", "TABLE "),
    ];
    let rooms = |path: &str| {
        is_source(path)
            && (path.starts_with("src/") || path.starts_with("crates/"))
            && !path.starts_with("crates/store/")
    };
    let speaks = |line: &str| PHRASES.iter().any(|(verb, rest)| line.contains(verb) && line.contains(rest));
    lines_that(house, rooms, speaks)
}

fn names_say_something(house: &House) -> Vec<String> {
    const EMPTY_NAMES: &[&str] = &["mod", "util", "utils", "common", "manager", "helper", "helpers", "misc"];
    let says_nothing = |file: &&File| {
        is_source(&file.path)
            && file.path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")))
    };
    house.0.iter().filter(says_nothing).map(|file| format!("{}: says nothing", file.path)).collect()
}

fn files_are_short(house: &House) -> Vec<String> {
    let sources = house.0.iter().filter(|file| is_source(&file.path));
    let lengths =
        sources.map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX);
    lengths.map(|(file, lines)| format!("{}: {lines} lines", file.path)).collect()
}

fn files_introduce_themselves(house: &House) -> Vec<String> {
    let mute = |file: &&File| is_source(&file.path) && !file.text.starts_with("//! ");
    house.0.iter().filter(mute).map(|file| format!("{}: first line is not `//! …`", file.path)).collect()
}

fn lints_are_expected(house: &House) -> Vec<String> {
    lines_that(house, is_source, |line| {
        line.contains(concat!("#[", "allow(")) || line.contains(concat!("#![", "allow("))
    })
}

fn nothing_is_left_undone(house: &House) -> Vec<String> {
    const MARKS: &[&str] = &[
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("#[", "ignore"),
    ];
    lines_that(house, |_| true, |line| MARKS.iter().any(|mark| line.contains(mark)))
}

fn no_machine_paths(house: &House) -> Vec<String> {
    const FOLDERS: &[&str] =
        &[concat!("/wo", "rk/"), concat!("/tmp/", "wt"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    lines_that(house, |_| true, |line| FOLDERS.iter().any(|folder| line.contains(folder)))
}

fn the_map_is_true(house: &House) -> Vec<String> {
    let Some(map) = house.0.iter().find(|file| file.path == "ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md: missing".to_owned()];
    };
    let crates = house.0.iter().filter_map(|file| {
        file.path.strip_suffix("/Cargo.toml").filter(|folder| !map.text.contains(&format!("{folder}/")))
    });
    let unmapped = crates.map(|folder| format!("ARCHITECTURE.md: does not show {folder}/"));
    let rooms = ["crates/", "src/", "tests/", "docs/", "scripts/", "interop/", "bench/"];
    let shown =
        map.text.split('`').skip(1).step_by(2).filter(|word| rooms.iter().any(|room| word.starts_with(room)));
    let gone = shown.filter(|word| !word.contains(['{', '*', '<', ' ', '…']) && !house.has(word));
    unmapped.chain(gone.map(|word| format!("ARCHITECTURE.md: shows {word}, which is not there"))).collect()
}

fn links_lead_somewhere(house: &House) -> Vec<String> {
    let mut complaints = Vec::new();
    for page in house.0.iter().filter(|file| has_extension(&file.path, "md")) {
        let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
        let ours = targets.filter(|target| !target.is_empty() && !target.contains(':'));
        let dead = ours.filter(|target| !house.has(&resolve(&page.path, target)));
        complaints.extend(dead.map(|target| format!("{}: links to {target}", page.path)));
    }
    complaints
}

impl House {
    /// The files that git tracks or would track, so that a new file is judged before its first commit.
    fn as_it_stands() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listing = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| {
                format!("git could not list the files, and these rules are about a clone: {error}")
            })?;
        let names = String::from_utf8(listing.stdout).map_err(|error| error.to_string())?;
        let files = names.split('\0').filter(|name| !name.is_empty()).filter_map(|name| {
            let text = std::fs::read(root.join(name)).ok()?;
            Some(File { path: name.to_owned(), text: String::from_utf8(text).unwrap_or_default() })
        });
        Ok(Self(files.collect()))
    }

    fn of(files: &[(&str, &str)]) -> Self {
        let files =
            files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() });
        Self(files.collect())
    }

    /// Whether `path` is a file, or a folder with a file in it.
    fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = |file: &File| {
            file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        path.is_empty() || self.0.iter().any(inside)
    }
}

fn manifests(house: &House) -> Vec<(&File, toml::Table)> {
    let files = house.0.iter().filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"));
    files.map(|file| (file, file.text.parse().unwrap_or_default())).collect()
}

fn package_name(manifest: &toml::Table) -> String {
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str).unwrap_or("(a manifest without a package)").to_owned()
}

/// Whether a dependency is the tests' alone.
fn is_for_tests(manifest: &toml::Table, used: &str) -> bool {
    let shipped = manifest.get("dependencies").and_then(|table| table.get(used));
    shipped.is_none() && manifest.get("build-dependencies").and_then(|table| table.get(used)).is_none()
}

fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// The `unwanted` dependencies of every room that is not `exempt`.
fn dependencies_outside(
    house: &House,
    exempt: impl Fn(&str) -> bool,
    unwanted: impl Fn(&String) -> bool,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (file, manifest) in manifests(house) {
        if exempt(&package_name(&manifest)) {
            continue;
        }
        let found = dependencies(&manifest).into_iter().filter(|used| unwanted(used));
        complaints.extend(found.map(|used| format!("{}: uses {used}", file.path)));
    }
    complaints
}

/// Every line of the files under `covers` that `breaks` the rule.
fn lines_that(house: &House, covers: impl Fn(&str) -> bool, breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in house.0.iter().filter(|file| covers(&file.path)) {
        let numbered = (1_usize..).zip(file.text.lines()).filter(|(_, line)| breaks(line));
        complaints.extend(numbered.map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim())));
    }
    complaints
}

fn is_source(path: &str) -> bool {
    has_extension(path, "rs")
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Where a link `target` on the page `from` leads, from the workspace's root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[test]
fn the_house_keeps_every_rule() {
    let house = House::as_it_stands().unwrap();
    assert!(house.has("Cargo.toml"), "git listed no file of this workspace");
    let mut found = Vec::new();
    for rule in RULES {
        found.extend(
            (rule.complaints)(&house).iter().map(|complaint| format!("{}\n    {complaint}", rule.says)),
        );
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_rule_notices_a_house_that_breaks_it() {
    for rule in RULES {
        assert!(!(rule.complaints)(&House::of(rule.broken_by)).is_empty(), "{}", rule.says);
    }
}

#[test]
fn a_link_is_followed_from_its_own_page() {
    let cases = [
        ("README.md", "docs/a.md", "docs/a.md"),
        ("docs/a.md", "../README.md", "README.md"),
        ("docs/dialect/a.md", "./b.md", "docs/dialect/b.md"),
    ];
    for (from, target, leads_to) in cases {
        assert_eq!(resolve(from, target), leads_to);
    }
}
