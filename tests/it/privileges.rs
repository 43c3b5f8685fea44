//! Who may do what, of everything that there is: the catalog against `privileges.txt`, line by line.
//!
//! A new table, view, column that somebody may write, sequence or function fails here until its line says who may use it.

use std::collections::BTreeSet;

use crate::harness::Outbox;

/// One line an object: what it is, and each role with what it may do there, where it may do anything.
const EXPECTED: &str = include_str!("privileges.txt");

/// A privilege of single columns only is told with their names.
const FOUND: &str = "
  with role (name, id) as (
    select name, ('conversion_outbox_' || name)::regrole::oid
      from unnest(array['app', 'worker', 'reader', 'operator', 'privacy']) name
  ), relation (object, grantee, may) as (
    select case c.relkind when 'S' then 'sequence ' when 'v' then 'view ' else 'table ' end || c.relname, role.name,
           array_to_string(array(
             select case
                      when has_table_privilege(role.id, c.oid, privilege) then privilege
                      when privilege in ('select', 'insert', 'update', 'references') and has_any_column_privilege(role.id, c.oid, privilege)
                      then privilege || '(' || (
                        select string_agg(attname, ' ' order by attname) from pg_attribute
                         where attrelid = c.oid and attnum > 0 and not attisdropped
                           and has_column_privilege(role.id, c.oid, attnum, privilege)) || ')'
                    end
               from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) privilege
           ), ',')
      from pg_class c cross join role
     where c.relnamespace = 'conversion_outbox'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select 'sequence ' || c.relname, role.name,
           array_to_string(array(select privilege from unnest(array['usage', 'select', 'update']) privilege
                                  where has_sequence_privilege(role.id, c.oid, privilege)), ',')
      from pg_class c cross join role
     where c.relnamespace = 'conversion_outbox'::regnamespace and c.relkind = 'S'
    union all
    select 'function ' || p.proname, role.name,
           case when bool_or(has_function_privilege(role.id, p.oid, 'execute')) then 'execute' else '' end
      from pg_proc p cross join role
     where p.pronamespace = 'conversion_outbox'::regnamespace
     group by p.proname, role.name
    union all
    select 'schema conversion_outbox', role.name,
           array_to_string(array(select privilege from unnest(array['usage', 'create']) privilege
                                  where has_schema_privilege(role.id, 'conversion_outbox', privilege)), ',')
      from role
    union all
    select 'type ' || t.typname, role.name, case when has_type_privilege(role.id, t.oid, 'usage') then 'usage' else '' end
      from pg_type t cross join role
     where t.typnamespace = 'conversion_outbox'::regnamespace and t.typtype in ('d', 'e', 'r')
  )
  select object || ':' || coalesce(string_agg(' ' || grantee || '=' || may, '' order by grantee) filter (where may <> ''), ' nobody')
    from relation group by object";

#[tokio::test]
async fn everybody_may_do_exactly_what_is_written_down() {
    let admin = Outbox::new().await.admin().await;
    let found: BTreeSet<String> = admin.all(FOUND).await.into_iter().collect();
    let written = EXPECTED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let expected: BTreeSet<String> = written.map(str::to_owned).collect();
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        let lines: Vec<&str> = these.difference(those).map(String::as_str).collect();
        lines.join("\n")
    };
    assert!(
        found == expected,
        "decide who may use it, and write it into tests/it/privileges.txt.\nIn the database only:\n{}\nIn the file only:\n{}",
        only(&found, &expected),
        only(&expected, &found)
    );
}

#[tokio::test]
async fn nobody_inherits_more_and_nobody_may_grant() {
    let admin = Outbox::new().await.admin().await;
    // No role of ours is a member of another, has attributes, or may pass on what it has.
    let offenders: Vec<String> = admin
        .all(
            "with ours as (select * from pg_roles where rolname like 'conversion\\_outbox\\_%')
             select 'member: ' || m.roleid::regrole || ' of ' || m.member::regrole from pg_auth_members m where m.member in (select oid from ours)
             union all select 'attribute: ' || rolname from ours
               where rolsuper or rolcreaterole or rolcreatedb or rolcanlogin or rolreplication or rolbypassrls
             union all select 'grant option: ' || c.relname from pg_class c, aclexplode(c.relacl) a
               where c.relnamespace = 'conversion_outbox'::regnamespace and a.is_grantable and a.grantee <> c.relowner
             union all select 'grant option: ' || p.proname from pg_proc p, aclexplode(p.proacl) a
               where p.pronamespace = 'conversion_outbox'::regnamespace and a.is_grantable and a.grantee <> p.proowner",
        )
        .await;
    assert_eq!(offenders, Vec::<String>::new());
}
