use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A range of IPv4 addresses with no host bits set, as EC2 wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// The range of one address.
    pub fn host(address: Ipv4Addr) -> Self {
        Self { address, prefix: 32 }
    }

    /// Parses `203.0.113.0/24`, or an address alone.
    ///
    /// # Errors
    /// With the reason: not IPv4, host bits set, or wider than a /8 (`0.0.0.0/0` and its halves open the bastion to
    /// everybody).
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        if address.parse::<Ipv6Addr>().is_ok() {
            return Err("the bastion is reached over IPv4; use an IPv4 address".to_owned());
        }
        let address: Ipv4Addr = address.parse().map_err(|_| "use an IPv4 range such as 203.0.113.0/24".to_owned())?;
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= 32)
            .ok_or_else(|| "the number behind the slash is 8 to 32".to_owned())?;
        if prefix < 8 || address.is_unspecified() {
            return Err("that is open to everybody".to_owned());
        }
        if address.to_bits().checked_shl(u32::from(prefix)).unwrap_or(0) != 0 {
            return Err(format!(
                "the address has bits set behind the /{prefix}; did you mean {}/{prefix}?",
                Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - u32::from(prefix))))
            ));
        }
        Ok(Self { address, prefix })
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.address.to_bits()).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
    }
}

/// True when a range as EC2 tells it, however wide, holds the address.
pub(super) fn covers(range: &str, address: Ipv4Addr) -> bool {
    let parsed = range.split_once('/').and_then(|(first, prefix)| Some((first.parse().ok()?, prefix.parse().ok()?)));
    parsed.is_some_and(|(first, prefix)| prefix <= 32 && Cidr { address: first, prefix }.contains(address))
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_strictly() {
        assert_eq!(Cidr::parse("203.0.113.7").unwrap().to_string(), "203.0.113.7/32");
        assert_eq!(Cidr::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        for wrong in
            ["0.0.0.0/0", "128.0.0.0/1", "203.0.113.7/24", "::1", "::/0", "0.0.0.0", "1.2.3/24", "1.2.3.4/33", "", "x"]
        {
            assert!(Cidr::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Cidr::parse("203.0.113.7/24").unwrap_err().contains("203.0.113.0/24"));
    }

    #[test]
    fn a_range_knows_its_addresses() {
        let range = Cidr::parse("203.0.113.0/24").unwrap();
        assert!(range.contains(Ipv4Addr::new(203, 0, 113, 255)));
        assert!(!range.contains(Ipv4Addr::new(203, 0, 114, 0)));
        assert!(Cidr::host(Ipv4Addr::new(1, 2, 3, 4)).contains(Ipv4Addr::new(1, 2, 3, 4)));
        assert!(!Cidr::host(Ipv4Addr::new(1, 2, 3, 4)).contains(Ipv4Addr::new(1, 2, 3, 5)));
    }
}
