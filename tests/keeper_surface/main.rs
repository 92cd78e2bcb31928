//! The keeper's HTTP surface from outside its room: the admin routes, the drop-in endpoints, watching, the proxy,
//! and what a library's other calls come to.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod console;
#[cfg(test)]
mod dropin;
#[cfg(test)]
mod dropin_signed;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod proxy_signed;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod rig;
#[cfg(test)]
#[path = "../console/visitor.rs"]
#[expect(dead_code, reason = "the issuer's tests need more of it")]
mod visitor;
#[cfg(test)]
mod watch;
