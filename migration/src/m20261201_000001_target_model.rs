//! `exchanges.target_model`: what the provider was asked for where the client named something else, a logical model or a
//! name with its provider. It is all that differs between the client's body and the one that was sent, which is not stored
//! a second time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let add = match db.get_database_backend() {
            DbBackend::Postgres => {
                "ALTER TABLE exchanges ADD COLUMN IF NOT EXISTS target_model text"
            }
            // A column of one's own may have had the name.
            _ if has_column(db).await? => return Ok(()),
            _ => "ALTER TABLE exchanges ADD COLUMN target_model TEXT",
        };
        db.execute_unprepared(add).await?;
        Ok(())
    }

    async fn down(&self, _manager: &SchemaManager) -> Result<(), DbErr> {
        Err(DbErr::Migration("migrations only go forward".to_owned()))
    }
}

async fn has_column(db: &SchemaManagerConnection<'_>) -> Result<bool, DbErr> {
    let find = "SELECT 1 AS one FROM pragma_table_info('exchanges') WHERE name = 'target_model'";
    let found = db
        .query_one_raw(Statement::from_string(DbBackend::Sqlite, find))
        .await?;
    Ok(found.is_some())
}
