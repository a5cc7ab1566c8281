//! RSA keys that look right and are not (the policy of Boulder).

use num_bigint::BigUint;

use super::KeyError;

/// Rounds of Fermat's method. Primes that differ by less than about 2^(bits/4 + 8) fall within them; honest ones never do.
const FERMAT_ROUNDS: u32 = 100;

/// Trial division stops here.
const LARGEST_SMALL_PRIME: u32 = 751;

/// Checks size, exponent and two cheap ways to factor the modulus; returns its length in bits. Both numbers are big-endian.
///
/// The work is bounded: 171 divisions and 100 additions of numbers of at most 4,096 bits.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<u32, KeyError> {
    let modulus = BigUint::from_bytes_be(modulus);
    let bits = match modulus.bits() {
        bits @ (2048 | 3072 | 4096) => u32::try_from(bits).expect("at most 4096"),
        bits => return Err(KeyError::RsaSize { bits }),
    };
    check_exponent(exponent)?;
    if let Some(prime) = small_primes().find(|prime| &modulus % prime == BigUint::ZERO) {
        return Err(KeyError::RsaSmallFactor { prime });
    }
    if fermat_factors(&modulus) {
        return Err(KeyError::RsaClosePrimes);
    }
    if is_roca(&modulus) { Err(KeyError::RsaRoca) } else { Ok(bits) }
}

fn check_exponent(exponent: &[u8]) -> Result<(), KeyError> {
    let exponent = BigUint::from_bytes_be(exponent);
    let exponent = u32::try_from(&exponent).map_err(|_| KeyError::RsaExponent)?;
    if exponent < 65_537 || exponent.is_multiple_of(2) { Err(KeyError::RsaExponent) } else { Ok(()) }
}

fn small_primes() -> impl Iterator<Item = u32> {
    (2..=LARGEST_SMALL_PRIME).filter(|&n| (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d)))
}

/// Whether n = a² − b² for one of the first `FERMAT_ROUNDS` values of a ≥ √n.
fn fermat_factors(n: &BigUint) -> bool {
    let mut a = n.sqrt();
    if &a * &a < *n {
        a += 1u32;
    }
    let mut b_squared = &a * &a - n;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&b_squared) {
            return true;
        }
        // (a + 1)² − n = (a² − n) + 2a + 1
        b_squared += &a * 2u32 + 1u32;
        a += 1u32;
    }
    false
}

/// Whether the modulus has the mark of CVE-2017-15361 (ROCA): primes of Infineon's library are powers of 65537 modulo a product of
/// small primes, and so is what they are multiplied to. One honest key in 2^27 has it by chance.
fn is_roca(n: &BigUint) -> bool {
    const LARGEST: u32 = 167;
    small_primes().skip(1).take_while(|prime| *prime <= LARGEST).all(|prime| {
        let rest = n % prime;
        std::iter::successors(Some(1), |power| Some(power * (65_537 % prime) % prime).filter(|next| *next != 1))
            .any(|power| rest == BigUint::from(power))
    })
}

fn is_square(n: &BigUint) -> bool {
    // Squares leave one of 12 residues modulo 64: most candidates end here, without a root.
    let residue = n.iter_u32_digits().next().unwrap_or(0) % 64;
    const SQUARES: u64 = 0x0202_0212_0203_0213;
    if SQUARES >> residue & 1 == 0 {
        return false;
    }
    let root = n.sqrt();
    &root * &root == *n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residues_of_squares_are_right() {
        for n in 0u32..4096 {
            assert!(is_square(&BigUint::from(n * n)), "{n}²");
            let not = n * n + 2;
            assert_eq!(is_square(&BigUint::from(not)), f64::from(not).sqrt().fract() == 0.0, "{not}");
        }
    }

    #[test]
    fn close_primes_are_found_and_distant_ones_are_not() {
        // 2^31 − 1 and the next prime; 2^31 − 1 and a prime half its size.
        assert!(fermat_factors(&(BigUint::from(2_147_483_647u64) * 2_147_483_659u64)));
        assert!(!fermat_factors(&(BigUint::from(2_147_483_647u64) * 1_073_741_827u64)));
    }

    #[test]
    fn moduli_made_of_powers_of_65537_are_found() {
        // No need for primes: only residues modulo 2 · 3 · … · 167 count.
        let product: BigUint = small_primes().take_while(|prime| *prime <= 167).map(BigUint::from).product();
        let power = BigUint::from(65_537u32).modpow(&BigUint::from(0x1234_5678_9abc_def1u64), &product);
        let marked = &power + &product * 2u32 * (BigUint::from(1u32) << 1800);
        assert!(is_roca(&marked));
        for other in [&marked + 2u32, &marked + &product * 2u32 + 4u32, BigUint::from(3u32).pow(1292)] {
            assert!(!is_roca(&other));
        }
    }

    #[test]
    fn trial_division_covers_the_primes_to_751() {
        assert_eq!(small_primes().count(), 133);
        assert_eq!(small_primes().last(), Some(751));
    }

    #[test]
    fn exponents() {
        for bad in [&[][..], &[1], &[3], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1]] {
            assert_eq!(check_exponent(bad), Err(KeyError::RsaExponent), "{bad:?}");
        }
        for good in [&[1, 0, 1][..], &[0xFF, 0xFF, 0xFF, 0xFF]] {
            assert_eq!(check_exponent(good), Ok(()), "{good:?}");
        }
    }
}
