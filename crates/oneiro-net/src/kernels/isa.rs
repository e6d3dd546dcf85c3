//! Which vector instructions the kernels may use.
//!
//! A kernel takes an [`Isa`] as an argument, so that a test can run every path that this machine has on the
//! same cases. Results may differ between instruction sets in the last bits (one fuses multiply and add,
//! another does not); within one they never do.

/// An instruction-set family that kernels are compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Isa {
    /// x86-64 with AVX-512 F, VL, BW and DQ: 32 registers of 16 numbers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 16 registers of 8 numbers.
    Avx2,
    /// 64-bit Arm with NEON: 32 registers of 4 numbers.
    Neon,
    /// Plain Rust, vectorized by the compiler if it can.
    Portable,
}

impl Isa {
    /// Every family, the fastest first.
    const ALL: [Isa; 4] = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// The fastest family of this machine (the standard library remembers the answer).
    pub fn detect() -> Isa {
        Isa::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// Every family that this machine can run, the fastest first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine can run the family.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Isa::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Panics where this machine lacks the family: the guard in front of every call of a compiled path.
    #[track_caller]
    pub(crate) fn require(self) {
        assert!(self.is_available(), "this machine has no {} instructions", self.name());
    }

    /// The name that pictures carry as their kernel family.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }
}

/// Compiles the same body once for each x86 family and chooses by the first argument.
///
/// The body holds no fused multiply-add, so every family gives the same bits.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::kernels::isa::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
            fn avx512($($arg: $ty),*) {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $ty),*) {
                body($($arg),*)
            }

            isa.require();
            match isa {
                // SAFETY: `require` has just found the features that the function is compiled with.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_family_is_the_first_available_one_and_portable_is_always_there() {
        assert_eq!(Isa::available().first(), Some(&Isa::detect()));
        assert_eq!(Isa::available().last(), Some(&Isa::Portable));
    }
}
