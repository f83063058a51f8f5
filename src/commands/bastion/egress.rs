use super::bench::Bench;
use crate::bastion::{BastionError, Cidr};
use crate::error::CommandError;

/// The addresses that this computer is seen with.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct EgressArgs {
    /// Let in this IPv4 address (or range) instead of the one that the echo service sees; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = Cidr::parse)]
    ip: Vec<Cidr>,
}

impl EgressArgs {
    /// Who may reach the ssh port: this computer, and what the team lets in besides.
    pub(super) async fn ssh_cidrs(&self, bench: &Bench<'_>) -> Result<Vec<Cidr>, CommandError> {
        let mut cidrs = self.ip.clone();
        if cidrs.is_empty() {
            cidrs.push(Cidr::host(bench.echo.address(&bench.settings.echo_url).await.map_err(BastionError::Echo)?));
        }
        for text in &bench.settings.bastion.allow_cidrs {
            cidrs.push(Cidr::parse(text).map_err(|reason| BastionError::Cidr { text: text.clone(), reason })?);
        }
        Ok(Cidr::together(cidrs)?)
    }
}
