//! The keeper from outside its room: over its routes, and in a simulated world of faults.

#[cfg(test)]
mod api;
#[cfg(test)]
mod dice;
#[cfg(test)]
mod exchanges;
mod gate;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod store;
#[cfg(test)]
mod story;
#[cfg(test)]
mod timetable;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;
