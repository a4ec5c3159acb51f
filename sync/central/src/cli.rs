//! The command line: the service, and what its operator does beside it.
//!
//! Settings come from the environment, secrets also from files (`NAME_FILE`): nothing secret stands on the command
//! line. docs/HQ_OPERATE.md lists them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::access::Role;

mod run;
mod settings;
mod systemd;
mod work;

/// Exit code of settings that cannot be used (`EX_CONFIG` of sysexits).
const EX_CONFIG: u8 = 78;

/// Head office: many stores, many tenants, one Postgres. Settings are read from the environment.
#[derive(Debug, Parser)]
#[command(name = "fiscal-hq", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve,
    /// Bring the database to this version; `DATABASE_URL` names its owner.
    Migrate,
    /// Check the audit.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Seal everything under the key in `FDMS_CRED_MASTER_KEY_B64`; the one before it is in
    /// `FDMS_CRED_MASTER_KEY_OLD_B64`. Broken off, it goes on when it is started again.
    RotateMasterKey,
    /// Companies.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// People.
    #[command(subcommand)]
    User(UserCommand),
    /// Make the partitions of this month and the next ones, and of what waits for one (the service does it by itself).
    Partitions,
    /// Write manual pages and shell completions into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder.
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Compute every row's hash again and name the first that is not as it was written.
    Verify {
        /// One tenant alone, by its id.
        #[arg(long, value_name = "ID")]
        tenant: Option<Uuid>,
    },
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Make a company, not enabled, in the test environment.
    Create {
        /// Its name.
        name: String,
    },
    /// List the companies with their ids.
    List,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Invite somebody; prints a link, good once and for a week, with which he chooses his password.
    Create {
        /// What he signs in with.
        email: String,
        /// His name.
        #[arg(long)]
        name: String,
        /// The company that he belongs to, by its id; left out: the operator, who runs the service.
        #[arg(long, value_name = "ID")]
        tenant: Option<Uuid>,
        /// What he may do.
        #[arg(long, value_enum, default_value = "admin")]
        role: RoleArg,
    },
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Looks.
    Viewer,
    /// Acts on stores and tills.
    Operator,
    /// Changes who may do what, credentials, profile, cut-over and rollback.
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The settings or the database must be changed by a person first.
    #[error("{0}")]
    Settings(String),
    /// It could not be done.
    #[error("{0}")]
    Done(String),
}

impl Failed {
    fn settings(error: impl std::fmt::Display) -> Self {
        Self::Settings(error.to_string())
    }

    fn done(error: impl std::fmt::Display) -> Self {
        Self::Done(error.to_string())
    }
}

/// Runs the command that was given.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    settings::start_logs();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("fiscal-hq: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(carry_out(cli.command)) {
        Ok(code) => code,
        Err(failed) => {
            eprintln!("fiscal-hq: {failed}");
            match failed {
                Failed::Settings(_) => ExitCode::from(EX_CONFIG),
                Failed::Done(_) => ExitCode::FAILURE,
            }
        }
    }
}

async fn carry_out(command: Command) -> Result<ExitCode, Failed> {
    match command {
        Command::Serve => run::serve().await,
        Command::Migrate => run::migrate().await,
        Command::Audit(AuditCommand::Verify { tenant }) => work::verify(tenant).await,
        Command::RotateMasterKey => work::rotate().await,
        Command::Tenant(TenantCommand::Create { name }) => work::create_tenant(&name).await,
        Command::Tenant(TenantCommand::List) => work::list_tenants().await,
        Command::User(UserCommand::Create {
            email,
            name,
            tenant,
            role,
        }) => work::create_user(&email, &name, tenant, role.into()).await,
        Command::Partitions => work::partitions().await,
        Command::Manual { folder } => {
            manual::write(&Cli::command(), &folder).map_err(Failed::done)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
