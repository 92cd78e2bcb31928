//! The built binary's verbs, from outside.

#[cfg(test)]
mod ephemeral;
#[cfg(test)]
mod lone;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod verbs;
