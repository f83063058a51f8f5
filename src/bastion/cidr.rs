use super::BastionError;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The widest range of the internet that may be let in, as a prefix: a provider's whole NAT pool fits.
const WIDEST: u8 = 16;

/// How many addresses of the internet may be let in together: what four of the widest ranges hold.
const MOST: u64 = 4 << (32 - WIDEST);

/// Addresses that no packet from the internet carries (RFC 1918): as wide as they are, they open nothing to it.
const PRIVATE: [Cidr; 3] = [
    Cidr { address: Ipv4Addr::new(10, 0, 0, 0), prefix: 8 },
    Cidr { address: Ipv4Addr::new(172, 16, 0, 0), prefix: 12 },
    Cidr { address: Ipv4Addr::new(192, 168, 0, 0), prefix: 16 },
];

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
    /// With the reason: not IPv4, host bits set, or wider than a /16 of the internet.
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
            .ok_or_else(|| format!("the number behind the slash is {WIDEST} to 32"))?;
        if prefix == 0 || address.is_unspecified() {
            return Err("that is the whole internet".to_owned());
        }
        if address.to_bits().checked_shl(u32::from(prefix)).unwrap_or(0) != 0 {
            return Err(format!(
                "the address has bits set behind the /{prefix}; did you mean {}/{prefix}?",
                Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - u32::from(prefix))))
            ));
        }
        let range = Self { address, prefix };
        if prefix < WIDEST && !range.is_private() {
            let addresses = range.addresses();
            return Err(format!(
                "it holds {addresses} addresses; a range of the internet is a /{WIDEST} at the widest"
            ));
        }
        Ok(range)
    }

    /// The ranges to let in, each once.
    ///
    /// # Errors
    /// [`BastionError::TooOpen`]: each may be narrow enough, and all of them together most of the internet.
    pub fn together(mut ranges: Vec<Self>) -> Result<Vec<Self>, BastionError> {
        ranges.sort();
        ranges.dedup();
        let is_within = |inner: &Self, outer: &Self| inner.prefix > outer.prefix && outer.contains(inner.address);
        let counted = ranges.iter().filter(|range| !range.is_private());
        let counted = counted.filter(|range| !ranges.iter().any(|outer| is_within(range, outer)));
        let addresses: u64 = counted.map(|range| range.addresses()).sum();
        if addresses > MOST { Err(BastionError::TooOpen { addresses, most: MOST }) } else { Ok(ranges) }
    }

    fn addresses(&self) -> u64 {
        1 << (32 - self.prefix)
    }

    fn is_private(&self) -> bool {
        PRIVATE.iter().any(|private| self.prefix >= private.prefix && private.contains(self.address))
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
            ["203.0.113.7/24", "::1", "::/0", "::/1", "::ffff:1.2.3.4", "1.2.3/24", "1.2.3.4/33", "1.2.3.4/", "", "x"]
        {
            assert!(Cidr::parse(wrong).is_err(), "{wrong}");
        }
        for wide in ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "0.0.0.0", "203.0.113.0/0"] {
            let reason = Cidr::parse(wide).unwrap_err();
            assert!(reason.contains("the whole internet") || reason.contains("holds 2147483648 addresses"), "{reason}");
        }
        assert!(Cidr::parse("203.0.113.7/24").unwrap_err().contains("203.0.113.0/24"));
    }

    #[test]
    fn a_range_of_the_internet_is_a_16_at_the_widest() {
        for (text, is_taken) in [
            ("203.0.0.0/16", true),
            ("202.0.0.0/15", false),
            ("52.0.0.0/8", false),
            ("10.0.0.0/8", true),
            ("10.0.0.0/7", false),
            ("172.16.0.0/12", true),
            ("172.0.0.0/11", false),
            ("192.168.0.0/16", true),
            ("192.168.0.0/15", false),
        ] {
            assert_eq!(Cidr::parse(text).is_ok(), is_taken, "{text}");
        }
    }

    #[test]
    fn many_ranges_are_counted_together() {
        let together = |texts: &[String]| Cidr::together(texts.iter().map(|text| Cidr::parse(text).unwrap()).collect());
        let sixteens = |count: usize| (0..count).map(|number| format!("52.{number}.0.0/16")).collect::<Vec<_>>();
        assert_eq!(together(&sixteens(4)).unwrap().len(), 4);
        let refused = together(&sixteens(5)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "327680 addresses of the internet would be let in together; 262144 are the most"
        );
        let one_more = |more: &str| [sixteens(4), vec![more.to_owned()]].concat();
        assert!(together(&one_more("198.51.100.7")).is_err());
        // Counted already, and none of the internet.
        for free in ["52.3.0.0/17", "52.1.2.3", "10.0.0.0/8"] {
            assert_eq!(together(&one_more(free)).unwrap().len(), 5, "{free}");
        }
        assert_eq!(together(&["1.2.3.4".to_owned(), "1.2.3.4/32".to_owned()]).unwrap().len(), 1);
        let narrow: Vec<String> = (0..=255).map(|number| format!("203.0.{number}.0/24")).collect();
        assert!(together(&narrow).is_ok());
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
