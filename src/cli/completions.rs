//! `mintkeep completions`: scripts that teach a shell our words.

use clap_complete::Shell;

use super::report::write_out;

pub(super) const EXAMPLES: &str = "\
Examples:
  mintkeep completions bash > ~/.local/share/bash-completion/completions/mintkeep
  mintkeep completions zsh > ~/.zfunc/_mintkeep
  mintkeep completions fish > ~/.config/fish/completions/mintkeep.fish";

/// Prints the script.
pub(super) fn print(shell: Shell, mut command: clap::Command) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "mintkeep", &mut script);
    write_out(&script);
}
