/// A sequence that its seed decides (xorshift64*, Vigna 2016).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed))
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides
    }
}

/// How many seeds a test tries: more of them in the gate, or by hand (`DEVDB_TEST_SEEDS`).
pub(crate) fn seeds() -> Option<u64> {
    std::env::var("DEVDB_TEST_SEEDS").ok().map(|seeds| seeds.parse().unwrap())
}
