-- Who may see and change what. The database decides: every table has row-level security, ENABLEd and
-- FORCEd, so that neither a %%sql cell nor the tables' owner passes around it.
-- Statements are separated by lines that hold only "--;".

-- Which person a login is; people have no rights in this schema.
CREATE TABLE wb_priv.logins (
    login name PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES wb.users (id) ON DELETE CASCADE,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
)
--;
CREATE INDEX ix_logins_user_id ON wb_priv.logins (user_id)
--;
-- The last link of each person's audit chain.
CREATE TABLE wb_priv.audit_heads (
    user_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    hash bytea NOT NULL
)
--;
-- The person behind this connection. session_user cannot be changed by SET ROLE or by a setting;
-- only the shared service login may name a person, and only inside its own transaction.
CREATE FUNCTION wb.me() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN session_user = 'wb_service'
        THEN nullif(current_setting('wb.user_id', true), '')::uuid
        ELSE (SELECT l.user_id FROM wb_priv.logins l JOIN wb.users u ON u.id = l.user_id
              WHERE l.login = session_user AND u.is_active AND (l.expires_at IS NULL OR l.expires_at > now()))
    END
$$
--;
CREATE FUNCTION wb.readable_projects() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(p.id), '{}') FROM wb.projects p
    WHERE p.is_public OR p.user_id = wb.me()
       OR p.id IN (SELECT m.project_id FROM wb.project_members m WHERE m.user_id = wb.me())
$$
--;
CREATE FUNCTION wb.editable_projects() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(p.id), '{}') FROM wb.projects p
    WHERE p.user_id = wb.me()
       OR p.id IN (SELECT m.project_id FROM wb.project_members m WHERE m.user_id = wb.me() AND m.role = 'editor')
$$
--;
-- Oneself, and the people one shares a project with.
CREATE FUNCTION wb.visible_users() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(DISTINCT u) FROM (
        SELECT wb.me() AS u
        UNION ALL SELECT p.user_id FROM wb.projects p WHERE p.id = ANY (wb.readable_projects())
        UNION ALL SELECT m.user_id FROM wb.project_members m WHERE m.project_id = ANY (wb.readable_projects())
    ) AS everybody
$$
--;
-- A policy cannot query its own table, so a prompt's references to prompts go through this invoker function.
CREATE FUNCTION wb.sees_prompt(prompt uuid, project uuid, root uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM wb.prompts p WHERE p.id = prompt
        AND (project IS NULL OR p.project_id = project) AND (root IS NULL OR p.root_id = root))
$$
--;
-- Adds a person and the login that stands for them; only for the owner.
CREATE FUNCTION wb_priv.register_user(login name, email text, username text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE person uuid;
BEGIN
    INSERT INTO wb.users (email, username) VALUES (register_user.email, register_user.username)
    RETURNING id INTO person;
    INSERT INTO wb_priv.logins (login, user_id) VALUES (register_user.login, person);
    RETURN person;
END
$$
--;
-- A model is shared by everybody, so a person may add one, and fill in what is not known yet, but change nothing.
CREATE FUNCTION wb.register_model(
    model_id text, model_name text, provider text, context_length integer DEFAULT NULL,
    max_tokens integer DEFAULT NULL, supports_streaming boolean DEFAULT true
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE model uuid;
BEGIN
    IF wb.me() IS NULL THEN
        RAISE EXCEPTION 'no person belongs to login %', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO wb.model_configs AS m (model_id, model_name, provider, context_length, max_tokens, supports_streaming)
    VALUES (register_model.model_id, register_model.model_name, register_model.provider,
            register_model.context_length, register_model.max_tokens, register_model.supports_streaming)
    ON CONFLICT ON CONSTRAINT uq_model_configs_model_id DO UPDATE
        SET context_length = coalesce(m.context_length, excluded.context_length),
            max_tokens = coalesce(m.max_tokens, excluded.max_tokens)
    RETURNING m.id INTO model;
    RETURN model;
END
$$
--;
CREATE FUNCTION wb.touch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$
--;
-- The content of a version never changes; a new text is a new version.
CREATE FUNCTION wb.freeze_prompt() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF ROW(NEW.id, NEW.project_id, NEW.user_id, NEW.root_id, NEW.parent_id, NEW.version, NEW.kind, NEW.content,
           NEW.system_prompt, NEW.variables, NEW.settings, NEW.content_hash, NEW.created_at)
       IS DISTINCT FROM
       ROW(OLD.id, OLD.project_id, OLD.user_id, OLD.root_id, OLD.parent_id, OLD.version, OLD.kind, OLD.content,
           OLD.system_prompt, OLD.variables, OLD.settings, OLD.content_hash, OLD.created_at) THEN
        RAISE EXCEPTION 'version % of prompt "%" is frozen; save a new version instead', OLD.version, OLD.title
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
--;
-- An execution begins as planned or sent and moves forward only; once it is final, only its score may be set.
CREATE FUNCTION wb.guard_execution() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status NOT IN ('planned', 'sent') THEN
            RAISE EXCEPTION 'an execution begins as planned or sent, not as %', NEW.status
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF ROW(NEW.id, NEW.run_at, NEW.run_id, NEW.project_id, NEW.user_id, NEW.prompt_id, NEW.model_config_id, NEW.case_id,
           NEW.case_key, NEW.variant, NEW.sample, NEW.purpose, NEW.input_variables, NEW.request_payload,
           NEW.request_digest, NEW.created_at)
       IS DISTINCT FROM
       ROW(OLD.id, OLD.run_at, OLD.run_id, OLD.project_id, OLD.user_id, OLD.prompt_id, OLD.model_config_id, OLD.case_id,
           OLD.case_key, OLD.variant, OLD.sample, OLD.purpose, OLD.input_variables, OLD.request_payload,
           OLD.request_digest, OLD.created_at) THEN
        RAISE EXCEPTION 'what execution % asked cannot be changed', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status IN ('done', 'failed', 'late') THEN
        IF ROW(NEW.status, NEW.response_data, NEW.answer, NEW.answer_json, NEW.finish_reason, NEW.provider,
               NEW.tokens_prompt, NEW.tokens_completion, NEW.tokens_total, NEW.cost_estimate, NEW.cost_source,
               NEW.execution_time_ms, NEW.ttft_ms, NEW.error_code, NEW.error_message, NEW.cached_from, NEW.finished_at,
               NEW.tokens_cached, NEW.tokens_reasoning)
           IS DISTINCT FROM
           ROW(OLD.status, OLD.response_data, OLD.answer, OLD.answer_json, OLD.finish_reason, OLD.provider,
               OLD.tokens_prompt, OLD.tokens_completion, OLD.tokens_total, OLD.cost_estimate, OLD.cost_source,
               OLD.execution_time_ms, OLD.ttft_ms, OLD.error_code, OLD.error_message, OLD.cached_from, OLD.finished_at,
               OLD.tokens_cached, OLD.tokens_reasoning) THEN
            RAISE EXCEPTION 'execution % is % and cannot be changed', OLD.id, OLD.status
                USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF NOT (OLD.status, NEW.status) IN (
        ('planned', 'planned'), ('planned', 'sent'), ('planned', 'failed'), ('planned', 'lost'),
        ('sent', 'sent'), ('sent', 'done'), ('sent', 'failed'), ('sent', 'lost'), ('sent', 'unknown'),
        ('lost', 'lost'), ('lost', 'late'), ('unknown', 'unknown'), ('unknown', 'late')
    ) THEN
        RAISE EXCEPTION 'execution % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
--;
-- One SHA-256 chain per person. TG_ARGV: the action, then the columns that the entry keeps.
CREATE FUNCTION wb_priv.audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    person uuid := coalesce(wb.me(), '00000000-0000-0000-0000-000000000000');
    subject jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    kept jsonb;
    entry wb.audit_logs;
BEGIN
    SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO kept FROM jsonb_each(subject)
    WHERE key = ANY (string_to_array(TG_ARGV[1], ','));
    INSERT INTO wb_priv.audit_heads (user_id, seq, hash) VALUES (person, 0, '\x') ON CONFLICT DO NOTHING;
    SELECT seq + 1, hash INTO entry.seq, entry.prev_hash FROM wb_priv.audit_heads WHERE user_id = person FOR UPDATE;
    entry.id := gen_random_uuid();
    entry.user_id := person;
    entry.action := TG_ARGV[0];
    entry.resource_type := TG_TABLE_NAME;
    entry.resource_id := coalesce(subject ->> 'id', subject ->> 'prompt_id', subject ->> 'ab_test_id', subject ->> 'project_id');
    entry.details := kept;
    entry.ip_address := inet_client_addr();
    entry.user_agent := current_setting('application_name', true);
    entry.created_at := clock_timestamp();
    entry.hash := sha256(entry.prev_hash || convert_to(
        jsonb_build_array(entry.id, entry.user_id, entry.seq, entry.action, entry.resource_type, entry.resource_id,
                          entry.details, entry.ip_address, entry.user_agent, extract(epoch FROM entry.created_at))::text, 'UTF8'));
    INSERT INTO wb.audit_logs SELECT (entry).*;
    UPDATE wb_priv.audit_heads SET seq = entry.seq, hash = entry.hash WHERE user_id = person;
    RETURN NULL;
END
$$
