//! The keeper's HTTP surface from outside its room: the admin routes, the drop-in endpoints, watching, the proxy.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod dropin;
#[cfg(test)]
mod dropin_signed;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod watch;
