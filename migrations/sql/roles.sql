-- For a superuser of the server:  psql -d postgres -f roles.sql
-- Afterwards that administrator can prepare the database:  workbench db init ADMIN_URL
SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8''', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"admin";
-- Each person is a role; this lets the administrator manage the roles that it makes, and no other.
ALTER ROLE :"admin" CREATEROLE;
SELECT format('CREATE ROLE %I NOLOGIN', role) FROM unnest(ARRAY['wb_owner', 'wb_definer', 'wb_user']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
GRANT wb_owner, wb_definer, wb_user TO :"admin" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE;
GRANT wb_definer TO wb_owner WITH INHERIT FALSE, SET TRUE;
\connect :"database"
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
