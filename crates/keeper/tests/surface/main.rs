//! The keeper's HTTP surface from outside its room: the admin routes, the drop-in endpoints, watching, the proxy.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod rig;
