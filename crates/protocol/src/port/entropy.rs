//! Where random bytes come from.

/// A source of random bytes: the operating system's in production, a seeded one in simulations.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Draws `N` random bytes.
pub fn draw<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// The operating system's generator, by way of AWS-LC.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // It fails only if the operating system has no generator; going on without one is no choice.
        #[expect(clippy::expect_used, reason = "a server without randomness must not mint")]
        aws_lc_rs::rand::fill(bytes).expect("the operating system's random generator works");
    }
}
