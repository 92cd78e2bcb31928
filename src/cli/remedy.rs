//! What a server's problem says to do, in the command line's words.

/// A call of the admin API as remedies name it, and the verb that makes it. One that begins as another does comes first.
#[rustfmt::skip]
const VERBS: [(&str, &str); 12] = [
    ("POST /admin/v1/apps/{id}/rotate-secret", "`mintkeep app rotate-secret`"),
    ("POST /admin/v1/apps/{id}/keys",          "`mintkeep app add-key`"),
    ("GET /admin/v1/apps/{id}",                "`mintkeep app show`"),
    ("POST /admin/v1/apps",                    "`mintkeep app create`"),
    ("GET /admin/v1/apps",                     "`mintkeep app list`"),
    ("PUT /admin/v1/customers/{id}",           "`mintkeep customer put`"),
    ("GET /admin/v1/grants",                   "`mintkeep grant list`"),
    ("GET /admin/v1/master-key/rotation",      "`mintkeep master-key show`"),
    ("GET /admin/v1/sandbox/faults",           "`mintkeep fault list`"),
    ("GET /admin/v1/keeper/credentials",       "`mintkeep credential list`"),
    ("GET /admin/v1/keeper/consumers",         "`mintkeep consumer list`"),
    ("GET /admin/v1/keeper/tokens",            "`mintkeep token list`"),
];

/// The remedy for whoever is at the command line.
pub fn in_verbs(detail: &str) -> String {
    VERBS.iter().fold(detail.to_owned(), |told, (call, verb)| told.replace(call, verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_the_verb_and_not_the_call() {
        let told = in_verbs("GET /admin/v1/apps lists them; POST /admin/v1/apps makes one");
        assert_eq!(told, "`mintkeep app list` lists them; `mintkeep app create` makes one");
        for (call, verb) in VERBS {
            assert_eq!(in_verbs(call), verb);
        }
    }
}
